/*
 * answer.c: one answer.
 *
 * Model: whoever decides about a request fills an answer in, synchronously and completely; the
 * connection delivers it, later if there is a delay, mutilated if the delivery says so. The answer
 * owns its texts. A body that memory ran out for is noticed at delivery, and becomes a 500.
 */
#include "answer.h"

#include <stdio.h>

#include "http.h"

void answer_deinit(struct answer *answer)
{
	text_deinit(&answer->headers);
	text_deinit(&answer->body);
	*answer = (struct answer){ .status = 0 };
}

void answer_content_type(struct answer *answer, const char *content_type)
{
	(void)snprintf(answer->content_type, sizeof(answer->content_type), "%s", content_type);
}

void answer_json(struct answer *answer, int status)
{
	answer->status = status;
	answer_content_type(answer, "application/json");
	text_deinit(&answer->body);
}

bool answer_has_body(const struct answer *answer)
{
	return answer->status >= 200 && answer->status != 204 && answer->status != 304;
}

void answer_add_head(const struct answer *answer, bool close, bool keep_alive_1_0,
		     struct text *text)
{
	text_printf(text, "HTTP/1.1 %d %s\r\n", answer->status, http_reason(answer->status));
	if (answer->date_s)
		http_add_date(text, answer->date_s);
	if (answer->content_type[0] && answer_has_body(answer))
		text_printf(text, "Content-Type: %s\r\n", answer->content_type);
	if (answer->delivery == ANSWER_CHUNKED && answer_has_body(answer))
		text_puts(text, "Transfer-Encoding: chunked\r\n");
	else if (answer_has_body(answer))
		text_printf(text, "Content-Length: %zu\r\n", answer->body.length);
	if (answer->headers.length)
		text_add(text, answer->headers.data, answer->headers.length);
	if (close)
		text_puts(text, "Connection: close\r\n");
	else if (keep_alive_1_0)
		text_puts(text, "Connection: keep-alive\r\n");
	text_puts(text, "\r\n");
}
