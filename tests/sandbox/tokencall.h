/* tokencall.h: POST /v1/sessions/{session}/tokens and …/tokens/{template}. */
#ifndef SANDBOX_TOKENCALL_H
#define SANDBOX_TOKENCALL_H

struct bapi_call;
struct token_stamp;

/* Decides about a request with a valid key. `template` is NULL for the plain session token; `last`,
 * which may be NULL, is where the stamp of the last token for the two is kept. */
void token_call(struct bapi_call *call, const char *session, const char *template,
		struct token_stamp *last);

#endif
