/* Watches; see clerktoken.h.
 *
 * A watch has a connection of its own on which it has asked WATCH, or none: before the first
 * question, after the connection broke, and in the child of a fork(). Then the next call connects
 * and asks. The answer and the pushes behind it are news alike, so that a call whose deadline comes
 * in between loses nothing.
 *
 * A line doesn't tell when it was sent. If it wasn't there when the socket was last seen empty, at
 * `quiet`, then it came after that: the earliest moment from which its ttl may count. In a thread
 * that waits, `quiet` moves on when the wait ends.
 */
#include "client/call.h"

#include "base/mem.h"
#include "client/failure.h"
#include "client/token.h"

#include <errno.h>
#include <poll.h>

/* What may be read after the deadline, so that a call without time still sees what has come. */
#define LATE_READS_MAX (2 * LINK_LINE_MAX / LINK_CHUNK)

struct clerktoken_watch {
	struct clerktoken_client *client;
	struct conn *conn; /* or NULL */
	struct request request;
	bool derives_wait;
	bool has_token; /* the caller has had one: that of `id` */
	bool is_over;
	enum code gone; /* why it is over */
	uint64_t id;
	struct mono quiet;
	char session[WIRE_NAME_MAX], template[WIRE_NAME_MAX]; /* lent to `request` */
};

/* What one call has found. */
struct news {
	struct clerktoken_token *token;
	enum clerktoken_error error; /* the daemon's answer, if it isn't a token */
	struct clerktoken_failure *failure;
};

static bool has_news(const struct clerktoken_watch *watch, const struct news *news)
{
	return news->token || news->error != CLERKTOKEN_OK || watch->is_over;
}

static void give_up_conn(struct clerktoken_watch *watch)
{
	if (watch->conn && watch->conn->era != era_now(&watch->client->era))
		conn_abandon(watch->conn);
	else
		conn_close(watch->conn);
	watch->conn = NULL;
}

void clerktoken_watch_free(struct clerktoken_watch *watch)
{
	if (!watch)
		return;
	give_up_conn(watch);
	client_unref(watch->client);
	mem_free(watch);
}

bool clerktoken_watch_is_over(const struct clerktoken_watch *watch)
{
	return watch->is_over;
}

static struct span keep(char *to, struct span name)
{
	if (name.len)
		memcpy(to, name.ptr, name.len); /* at most WIRE_NAME_MAX: it was checked */
	return span_of(to, name.len);
}

static struct clerktoken_watch *watch_new(const struct call *call)
{
	struct clerktoken_watch *watch = mem_zalloc(sizeof(*watch));

	if (!watch)
		return NULL;
	watch->client = client_ref(call->client);
	watch->request = call->request;
	watch->request.session = keep(watch->session, call->request.session);
	watch->request.template = keep(watch->template, call->request.template);
	watch->derives_wait = call->derives_wait;
	return watch;
}

static int ask(struct clerktoken_watch *watch, struct deadline deadline)
{
	int result = sync_connect(watch->client, deadline, &watch->conn);

	if (result < 0)
		return result;
	if (watch->derives_wait)
		sync_set_wait(&watch->request, deadline_left_ms(deadline));
	watch->quiet = clock_boot();
	result = link_ask(&watch->conn->link, &watch->request);
	if (result == 0)
		result = sync_send(watch->conn, deadline);
	if (result < 0)
		give_up_conn(watch);
	return result;
}

/* Of several tokens the latest is kept. */
static int take_token(struct clerktoken_watch *watch, const struct token_view *view,
		      enum clerktoken_source source, struct news *news)
{
	struct clerktoken_token *token;

	if (token_new(view, watch->quiet, source, &token) < 0)
		return -ENOMEM;
	clerktoken_token_unref(news->token);
	news->token = token;
	watch->id = view->id;
	watch->has_token = true;
	return 0;
}

static int take_answer(struct clerktoken_watch *watch, const struct reply *answer,
		       struct news *news)
{
	client_has_worked(watch->client);
	if (answer->type == REPLY_ERROR) {
		news->error = failure_set_reply(news->failure, answer);
		return -ECONNABORTED; /* whether it is watched now is unclear: to be asked anew */
	}
	if (answer->type != REPLY_TOKEN)
		return -EBADMSG;
	watch->request.has_not = false; /* that token has been replaced */
	if (watch->has_token && watch->id == answer->token.id)
		return 0; /* the caller knows it */
	return take_token(watch, &answer->token, (enum clerktoken_source)answer->token.source,
			  news);
}

static int take_push(struct clerktoken_watch *watch, const struct reply *push, struct news *news)
{
	struct span template =
	    watch->request.template.len ? watch->request.template : SPAN_LITERAL(WIRE_NO_TEMPLATE);

	if (!span_equal(push->session, watch->request.session) ||
	    !span_equal(push->template, template))
		return 0;
	if (push->type == PUSH_TOKEN)
		return take_token(watch, &push->token, CLERKTOKEN_SOURCE_PUSH, news);
	if (push->type == PUSH_GONE) {
		watch->is_over = true;
		watch->gone = push->code;
	}
	return 0;
}

static int take_lines(struct clerktoken_watch *watch, struct news *news)
{
	int result = 0;

	while (result == 0) {
		struct reply reply;
		int next = link_next(&watch->conn->link, &reply);

		if (next == LINK_WANTS_INPUT)
			return 0;
		if (next == LINK_PUSH)
			result = take_push(watch, &reply, news);
		else
			result = next < 0 ? next : take_answer(watch, &reply, news);
	}
	return result;
}

/* The socket is empty now. If the link is too, whatever comes next will have come later. */
static void note_quiet(struct clerktoken_watch *watch)
{
	if (!link_is_quiet(&watch->conn->link))
		return;
	watch->quiet = clock_boot();
	link_rest(&watch->conn->link);
}

/* Reads until nothing more has come and there are news. 0; -ETIMEDOUT: no news; otherwise the
 * connection is of no more use. */
static int receive(struct clerktoken_watch *watch, struct deadline deadline, struct news *news)
{
	static const struct deadline at_once = { 0 };
	int result = 0;

	for (unsigned reads = 0; result == 0 || result == -EAGAIN; reads++) {
		result = take_lines(watch, news);
		if (result < 0)
			return result;
		if (reads > LATE_READS_MAX && deadline_left_ms(deadline) == 0)
			return -ETIMEDOUT; /* it never ceases to send */
		result = sync_wait(watch->conn, POLLIN, at_once);
		if (result == -ETIMEDOUT) {
			note_quiet(watch);
			if (has_news(watch, news))
				return 0;
			result = sync_wait(watch->conn, POLLIN, deadline);
			note_quiet(watch);
		}
		if (result == 0)
			result = conn_receive(watch->conn, LINK_CHUNK);
		if (result > 0)
			result = 0;
	}
	return result;
}

/* Connects where that is needed, as often as the deadline allows. */
static int find_news(struct clerktoken_watch *watch, struct deadline deadline, struct news *news)
{
	int pause_ms = SYNC_PAUSE_MIN_MS;

	for (;;) {
		int result = watch->conn ? 0 : ask(watch, deadline);

		if (result == 0)
			result = receive(watch, deadline, news);
		if (result == 0 || (result == -ETIMEDOUT && watch->conn))
			return result;
		give_up_conn(watch);
		if (has_news(watch, news))
			return 0;
		if (result != -ECONNRESET || !watch->client->has_worked ||
		    !sync_pause(&pause_ms, deadline))
			return result;
	}
}

static enum clerktoken_error next(struct clerktoken_watch *watch, int timeout_ms,
				  struct clerktoken_token **ret, struct clerktoken_failure *failure)
{
	struct news news = { .failure = failure };
	int result = watch->is_over ? 0 : find_news(watch, deadline_in_ms(timeout_ms), &news);

	if (news.token) {
		*ret = news.token;
		return CLERKTOKEN_OK;
	}
	if (news.error != CLERKTOKEN_OK)
		return news.error;
	if (watch->is_over) {
		struct reply gone = { .type = PUSH_GONE, .code = watch->gone };

		return failure_set_reply(failure, &gone);
	}
	return failure_set_system(failure, result, clerktoken_socket(watch->client));
}

enum clerktoken_error clerktoken_watch_next(struct clerktoken_watch *watch, int timeout_ms,
					    struct clerktoken_token **ret,
					    struct clerktoken_failure *ret_failure)
{
	if (watch->conn &&
	    (watch->conn->era != era_now(&watch->client->era) || !conn_is_ours(watch->conn)))
		give_up_conn(watch);
	return next(watch, timeout_ms, ret, ret_failure);
}

enum clerktoken_error clerktoken_watch(struct clerktoken_client *client, const char *session,
				       const char *template_name,
				       const struct clerktoken_get_options *options, int timeout_ms,
				       struct clerktoken_watch **ret,
				       struct clerktoken_token **ret_first,
				       struct clerktoken_failure *ret_failure)
{
	struct call call = call_init(client, VERB_WATCH, timeout_ms, ret_failure);
	enum clerktoken_error error = call_set_names(&call, session, template_name);
	struct clerktoken_token *first = NULL;
	struct clerktoken_watch *watch;

	if (error == CLERKTOKEN_OK)
		error = call_set_options(&call, options);
	if (error != CLERKTOKEN_OK)
		return error;
	watch = watch_new(&call);
	if (!watch)
		return failure_set(ret_failure, CLERKTOKEN_NO_MEMORY, "out of memory");
	error = next(watch, timeout_ms < 0 ? 0 : timeout_ms, &first, ret_failure);
	if (error != CLERKTOKEN_OK) {
		clerktoken_watch_free(watch);
		return error;
	}
	if (ret_first)
		*ret_first = first;
	else
		clerktoken_token_unref(first);
	*ret = watch;
	return CLERKTOKEN_OK;
}
