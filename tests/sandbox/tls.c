/*
 * tls.c: a certificate authority for one run.
 *
 * Model: at start the sandbox makes a CA key and a server key (both P-256: quick to make, quick in
 * handshakes), signs one certificate, and throws the CA's key away. So trusting ca.pem trusts this
 * one process and nothing that comes after it.
 */
#include "tls.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#define TLS_PAST_S (24L * 3600)		/* for clocks that disagree a little */
#define TLS_FUTURE_S (365L * 24 * 3600) /* longer than any run */

struct extension {
	int nid;
	const char *value;
};

static const struct extension ca_extensions[] = {
	{ NID_basic_constraints, "critical,CA:TRUE,pathlen:0" },
	{ NID_key_usage, "critical,keyCertSign,cRLSign" },
	{ NID_subject_key_identifier, "hash" },
};

static const struct extension server_extensions[] = {
	{ NID_basic_constraints, "critical,CA:FALSE" },
	{ NID_key_usage, "critical,digitalSignature" },
	{ NID_ext_key_usage, "serverAuth" },
	{ NID_subject_key_identifier, "hash" },
	{ NID_authority_key_identifier, "keyid:always" },
	{ NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1,IP:::1" },
};

static bool add_extensions(X509 *certificate, X509 *issuer, const struct extension *extensions,
			   size_t count)
{
	X509V3_CTX context;

	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
	for (size_t i = 0; i < count; i++) {
		X509_EXTENSION *made =
		    X509V3_EXT_conf_nid(NULL, &context, extensions[i].nid, extensions[i].value);
		int added = made ? X509_add_ext(certificate, made, -1) : 0;
		X509_EXTENSION_free(made);
		if (!added)
			return false;
	}
	return true;
}

static bool set_serial(X509 *certificate)
{
	int64_t serial = 0;

	if (RAND_bytes((unsigned char *)&serial, sizeof(serial)) != 1)
		return false;
	return ASN1_INTEGER_set_int64(X509_get_serialNumber(certificate),
				      (serial & INT64_MAX) | 1) == 1;
}

/* A certificate with everything but extensions and signature; NULL on failure. */
static X509 *new_certificate(const char *name, EVP_PKEY *key)
{
	X509 *certificate = X509_new();

	if (!certificate)
		return NULL;
	X509_NAME *subject = X509_get_subject_name(certificate);
	bool ok = X509_set_version(certificate, X509_VERSION_3) && set_serial(certificate) &&
		  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
					     (const unsigned char *)name, -1, -1, 0) &&
		  X509_gmtime_adj(X509_getm_notBefore(certificate), -TLS_PAST_S) &&
		  X509_gmtime_adj(X509_getm_notAfter(certificate), TLS_FUTURE_S) &&
		  X509_set_pubkey(certificate, key);
	if (ok)
		return certificate;
	X509_free(certificate);
	return NULL;
}

static X509 *new_ca(EVP_PKEY *key)
{
	const size_t count = sizeof(ca_extensions) / sizeof(ca_extensions[0]);
	X509 *ca = new_certificate("clerk-bapi-sandbox CA", key);

	if (ca && X509_set_issuer_name(ca, X509_get_subject_name(ca)) &&
	    add_extensions(ca, ca, ca_extensions, count) && X509_sign(ca, key, EVP_sha256()))
		return ca;
	X509_free(ca);
	return NULL;
}

static X509 *new_server(EVP_PKEY *key, X509 *ca, EVP_PKEY *ca_key)
{
	const size_t count = sizeof(server_extensions) / sizeof(server_extensions[0]);
	X509 *server = new_certificate("localhost", key);

	if (server && X509_set_issuer_name(server, X509_get_subject_name(ca)) &&
	    add_extensions(server, ca, server_extensions, count) &&
	    X509_sign(server, ca_key, EVP_sha256()))
		return server;
	X509_free(server);
	return NULL;
}

static int add_pem(X509 *certificate, struct text *text)
{
	char *bytes = NULL;
	BIO *bio = BIO_new(BIO_s_mem());

	if (!bio)
		return -ENOMEM;
	bool ok = PEM_write_bio_X509(bio, certificate) == 1;
	long length = ok ? BIO_get_mem_data(bio, &bytes) : 0;
	if (length > 0)
		text_add(text, bytes, (size_t)length);
	BIO_free(bio);
	return ok && !text->failed ? 0 : -ENOMEM;
}

/* Clients that offer h2 must learn that it is HTTP/1.1. */
static int choose_protocol(SSL *ssl, const unsigned char **ret_out, unsigned char *ret_length,
			   const unsigned char *in, unsigned length, void *context)
{
	static const unsigned char ours[] = "\x08http/1.1";
	unsigned char *out = NULL;

	(void)ssl; /* every connection is alike */
	(void)context;
	if (SSL_select_next_proto(&out, ret_length, ours, sizeof(ours) - 1, in, length) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_NOACK;
	*ret_out = out;
	return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *new_context(X509 *certificate, EVP_PKEY *key)
{
	SSL_CTX *tls = SSL_CTX_new(TLS_server_method());

	if (!tls)
		return NULL;
	if (SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION) == 1 &&
	    SSL_CTX_use_certificate(tls, certificate) == 1 &&
	    SSL_CTX_use_PrivateKey(tls, key) == 1) {
		SSL_CTX_set_alpn_select_cb(tls, choose_protocol, NULL);
		/* Thousands of idle connections shouldn't each hold their record buffers. */
		(void)SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS);
		return tls;
	}
	SSL_CTX_free(tls);
	return NULL;
}

int tls_new(struct text *ca_pem, SSL_CTX **ret_tls)
{
	EVP_PKEY *ca_key = EVP_EC_gen("P-256");
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *ca = ca_key ? new_ca(ca_key) : NULL;
	X509 *server = ca && key ? new_server(key, ca, ca_key) : NULL;
	SSL_CTX *tls = server ? new_context(server, key) : NULL;

	int r = tls ? add_pem(ca, ca_pem) : -EIO;
	X509_free(server);
	X509_free(ca);
	EVP_PKEY_free(key);
	EVP_PKEY_free(ca_key);
	if (r < 0)
		SSL_CTX_free(tls);
	else
		*ret_tls = tls;
	return r;
}
