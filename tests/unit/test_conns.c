/* daemon/sys/conns: whose connections are judged anew when the rules of access change. */
#include "tests/unit/unit.h"

#include "base/mem.h"
#include "daemon/sys/asker.h"
#include "daemon/sys/conn.h"

#include <event2/event.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_REPLY 66048

static struct {
	struct event_base *base;
	struct engine *engine;
	struct conns *conns;
	int client;
} world;

static void drain(void *arg)
{
	struct effect effect;

	(void)arg;
	do {
		engine_pop(world.engine, &effect);
		if (effect.type == EFFECT_REPLY)
			asker_answer(&effect);
		else
			conns_effect(world.conns, &effect);
	} while (effect.type != EFFECT_NONE);
}

static void settled(void *arg)
{
	(void)arg;
}

/* One client is connected, and there are no rules. */
static int set_up(void **state)
{
	const struct engine_config config = {
		.freshness = { .min_ttl_ms = 5000, .renew_idle_ms = -1 },
		.max_memory = 8 << 20,
		.max_clients = 10,
		.budget = 800,
		.budget_window_ms = 10000,
		.greeting = "clerk-tokend",
	};
	const struct conns_callbacks callbacks = { drain, settled, NULL };
	const struct hash_key hash_key = { 0 };
	int fds[2];

	(void)state;
	world.base = event_base_new();
	if (!world.base || engine_new(&config, &hash_key, 1, &world.engine) < 0 ||
	    conns_new(world.base, world.engine, MAX_REPLY, NULL, &callbacks, &world.conns) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
		return -1;
	world.client = fds[0];
	conns_accept(world.conns, fds[1]);
	return conns_count(world.conns) == 1 ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	conns_free(world.conns);
	engine_free(world.engine);
	event_base_free(world.base);
	return close(world.client);
}

static const struct conn *first(void)
{
	return container_of(list_first(&world.conns->all), struct conn, node);
}

/* Its grant was made with the last rules, which are about to be freed. */
static void test_who_can_not_be_told_may_nothing(void **state)
{
	static char text[] = "gid=1";
	static const struct rule_names names = { NULL, NULL };
	const struct config_rule source = { CONFIG_RULE_ALLOW, text, text, 1 };
	struct config_error error;
	struct access *access;

	(void)state;
	assert_true(engine_client_may(world.engine, &first()->client, SPAN_LITERAL("s"),
				      SPAN_LITERAL("a")));
	assert_int_equal(access_new(&source, 1, &names, &error, &access), 0);
	mem_fail_after(0); /* of its groups */
	conns_set_access(world.conns, access);
	mem_fail_after(SIZE_MAX);
	engine_enforce(world.engine, (struct mono){ 0 });
	assert_false(engine_client_may(world.engine, &first()->client, SPAN_LITERAL("s"),
				       SPAN_LITERAL("a")));
	assert_false(first()->client.admin);
	conns_settle(world.conns, (struct mono){ 0 });
	assert_int_equal(conns_count(world.conns), 0);
	access_free(access);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_who_can_not_be_told_may_nothing, set_up,
						tear_down),
	};

	return cmocka_run_group_tests_name("conns", tests, NULL, NULL);
}
