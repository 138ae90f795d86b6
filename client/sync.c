/* See sync.h. */
#include "client/sync.h"

#include <errno.h>
#include <poll.h>
#include <sys/random.h>

#define PAUSE_MAX_MS 500

/* What is kept of the time to hear the daemon's own `timeout`, and the token that it may carry. */
#define MARGIN_MIN_MS 5
#define MARGIN_MAX_MS 100

int sync_wait(const struct conn *conn, short events, struct deadline deadline)
{
	struct pollfd pollfd = { .fd = conn->fd, .events = events };

	for (;;) {
		int n = poll(&pollfd, 1, deadline_left_ms(deadline));

		if (n > 0)
			return pollfd.revents & POLLNVAL ? -EBADF : 0;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (deadline_left_ms(deadline) == 0)
			return -ETIMEDOUT;
	}
}

int sync_draw_pause_ms(int *pause_ms)
{
	unsigned chance;
	int ms;

	if (getrandom(&chance, sizeof(chance), GRND_NONBLOCK) != sizeof(chance))
		chance = 0;
	ms = *pause_ms / 2 + (int)(chance % ((unsigned)*pause_ms / 2 + 1));
	*pause_ms = *pause_ms * 2 < PAUSE_MAX_MS ? *pause_ms * 2 : PAUSE_MAX_MS;
	return ms;
}

bool sync_pause(int *pause_ms, struct deadline deadline)
{
	int left_ms = deadline_left_ms(deadline);
	int ms = sync_draw_pause_ms(pause_ms);

	if (left_ms >= 0 && left_ms < ms)
		ms = left_ms;
	(void)poll(NULL, 0, ms); /* a signal may end the pause early */
	return deadline_left_ms(deadline) != 0;
}

int sync_connect(struct clerktoken_client *client, struct deadline deadline, struct conn **ret)
{
	int pause_ms = SYNC_PAUSE_MIN_MS;
	int result;

	for (;;) {
		result = conn_open(clerktoken_socket(client), deadline_left_ms(deadline),
				   era_now(&client->era), ret);
		if (result == -EINTR && deadline_left_ms(deadline) != 0)
			continue;
		if (!sync_is_absent(result) || !client->has_worked ||
		    !sync_pause(&pause_ms, deadline))
			return result == -EINTR ? -ETIMEDOUT : result;
	}
}

int sync_send(struct conn *conn, struct deadline deadline)
{
	int result;

	while ((result = conn_send(conn)) == -EAGAIN) {
		result = sync_wait(conn, POLLOUT, deadline);
		if (result < 0)
			return result;
	}
	return result;
}

/* Most answers come at once, by one recv(2) that waits for them; poll(2) waits for the others. */
static int receive_more(struct conn *conn, struct deadline deadline)
{
	int left_ms = deadline_left_ms(deadline);
	int result = -EAGAIN;

	if (left_ms < 0 || left_ms > 2 * CONN_PATIENCE_MS)
		result = conn_await(conn);
	if (result == -EAGAIN) {
		result = sync_wait(conn, POLLIN, deadline);
		if (result == 0)
			result = conn_receive(conn, LINK_CHUNK);
	}
	return result > 0 || result == -EAGAIN ? 0 : result;
}

int sync_exchange(struct conn *conn, const struct request *request, struct deadline deadline,
		  struct reply *ret)
{
	int result = link_ask(&conn->link, request);
	bool is_late = false;

	conn->asked = clock_boot();
	if (result == 0)
		result = sync_send(conn, deadline);
	while (result == 0) {
		int next = link_next(&conn->link, ret);

		if (next == LINK_ANSWER)
			return conn->link.answered == conn->link.asked ? 0 : -EBADMSG;
		if (next == LINK_REFUSAL) {
			conn->is_spent = true;
			return 0;
		}
		if (next < 0)
			return next;
		if (next != LINK_WANTS_INPUT)
			continue;
		if (is_late)
			return -ETIMEDOUT;
		result = receive_more(conn, deadline);
		is_late = deadline_left_ms(deadline) == 0;
	}
	return result;
}

void sync_set_wait(struct request *request, int left_ms)
{
	int margin_ms = left_ms / 10;

	if (margin_ms < MARGIN_MIN_MS)
		margin_ms = MARGIN_MIN_MS;
	if (margin_ms > MARGIN_MAX_MS)
		margin_ms = MARGIN_MAX_MS;
	request->has_wait = left_ms >= 0;
	request->wait_ms = left_ms > margin_ms ? (uint64_t)(left_ms - margin_ms) : 0;
	if (request->wait_ms > WIRE_WAIT_MAX_MS)
		request->wait_ms = WIRE_WAIT_MAX_MS;
}

static int take_or_connect(struct clerktoken_client *client, bool take, struct deadline deadline,
			   struct conn **ret)
{
	*ret = take ? pool_take(&client->pool, era_now(&client->era)) : NULL;
	return *ret ? 0 : sync_connect(client, deadline, ret);
}

/* True where what went wrong is that the daemon is being restarted: whoever listens at the socket
 * next may be asked. */
static bool meets_restart(const struct clerktoken_client *client, const struct conn *conn,
			  int result, const struct reply *reply)
{
	if (result == 0)
		return reply->type == REPLY_ERROR && reply->code == CODE_SHUTTING_DOWN;
	return result == -ECONNRESET && !conn->link.is_answering && client->has_worked;
}

int sync_ask(struct clerktoken_client *client, struct request *request, bool derive_wait,
	     struct deadline deadline, struct conn **ret_conn, struct reply *ret)
{
	int pause_ms = SYNC_PAUSE_MIN_MS;
	int result;

	for (int sends = 1;; sends++) {
		struct conn *conn;
		bool again;

		result = take_or_connect(client, sends == 1, deadline, &conn);
		if (result < 0)
			return result;
		if (derive_wait)
			sync_set_wait(request, deadline_left_ms(deadline));
		result = sync_exchange(conn, request, deadline, ret);
		if (result == 0)
			client_has_worked(client);
		again = meets_restart(client, conn, result, ret) && sends < SYNC_SENDS_MAX &&
			(sends == 1 || sync_pause(&pause_ms, deadline));
		if (result == 0 && !again)
			*ret_conn = conn;
		else
			conn_close(conn);
		if (!again)
			return result;
	}
}
