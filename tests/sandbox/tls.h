/* tls.h: a certificate authority for one run, and a server certificate that it issues. */
#ifndef SANDBOX_TLS_H
#define SANDBOX_TLS_H

#include <openssl/ssl.h>

#include "text.h"

/* Makes both. *ret_tls, to be freed by SSL_CTX_free, serves localhost, 127.0.0.1 and ::1; the CA's
 * certificate is appended to `ca_pem`, its key is forgotten. 0 or -errno. */
int tls_new(struct text *ca_pem, SSL_CTX **ret_tls);

#endif
