/* Any content of an image, under the right key, is refused or leaves an engine that works and hands
 * over as much again; any bytes in place of an image are refused.
 *
 * The input is the content; its first byte says when it is read. Times in the seeds are small.
 */
#include "tests/fuzz/fuzz.h"

#include "base/mem.h"
#include "daemon/core/handover.h"

#define INPUT_MAX 4096
#define ROOM (INPUT_MAX + 4096)
#define MAX_TOKEN 2048
#define AT_MS 100000

static const unsigned char boot[IMAGE_BOOT_SIZE], salt[IMAGE_SALT_SIZE];
static const struct engine_config config = {
	.freshness = { .min_ttl_ms = 5000, .renew_idle_ms = -1 },
	.negative_ttl_ms = 10000,
	.default_wait_ms = 3000,
	.max_memory = 1 << 20,
	.max_clients = 10,
	.budget = 20,
	.budget_window_ms = 10000,
	.greeting = "",
};

static struct image_owner owner;
static char image[ROOM], again[ROOM];

static struct engine *new_engine(void)
{
	static const struct hash_key hash_key = { { 1, 3, 5, 7 }, 9, 11 };
	struct engine *e;

	fuzz_require(engine_new(&config, &hash_key, 1, &e) == 0);
	return e;
}

static int read_into(struct engine *e, struct mono now, size_t size)
{
	struct handover handover;

	return handover_read(e, now, &owner, span_of(image, size), MAX_TOKEN, &handover);
}

static size_t seal(const uint8_t *data, size_t size)
{
	struct image_writer *w = mem_alloc(sizeof(*w));
	size_t sealed;

	fuzz_require(w);
	image_begin(w, &owner, salt, image, sizeof(image));
	image_put(w, data, size);
	sealed = image_end(w);
	mem_free(w);
	fuzz_require(sealed);
	return sealed;
}

static void drain(struct engine *e)
{
	struct effect effect;

	do
		engine_pop(e, &effect);
	while (effect.type != EFFECT_NONE);
}

/* What it hands over is read without a word, and it hands over as much. */
static void check_again(struct engine *e, struct mono now)
{
	int64_t size = handover_write(e, now, &owner, salt, image, sizeof(image));
	int64_t counted = handover_write(e, now, &owner, salt, NULL, 0);
	struct engine *next = new_engine();

	fuzz_require(size == counted);
	fuzz_require(read_into(next, now, (size_t)size) == 0);
	fuzz_require(handover_write(next, now, &owner, salt, again, sizeof(again)) == size);
	engine_free(next);
}

static void live_on(struct engine *e, struct mono now)
{
	for (size_t i = 0; i < 64 && engine_next_deadline(e).ms != MONO_NEVER.ms; i++) {
		now = mono_max(now, engine_next_deadline(e));
		engine_tick(e, now);
		drain(e);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t held = mem_held();
	struct engine *e;
	struct mono now;

	if (size < 1 || size > INPUT_MAX)
		return 0;
	image_owner_set(&owner, SPAN_LITERAL("sk_test_fuzz"), SPAN_LITERAL("https://x"), boot);
	now = (struct mono){ AT_MS + (int64_t)data[0] * MS_PER_S };
	e = new_engine();
	memcpy(image, data, size);
	fuzz_require(read_into(e, now, size) > 0);
	if (read_into(e, now, seal(data + 1, size - 1)) == 0) {
		check_again(e, now);
		live_on(e, now);
	}
	engine_free(e);
	fuzz_require(mem_held() == held);
	return 0;
}
