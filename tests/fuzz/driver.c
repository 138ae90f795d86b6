/* Runs a fuzz target without libFuzzer: `driver [-runs=N] FILE-OR-FOLDER…`
 *
 * First each seed as it is, then N inputs (50,000) that are made of them by a sequence of random
 * numbers that is the same each time. Each input is a heap block of exactly its size, so that the
 * address sanitizer and valgrind see a step beyond it.
 */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#define SEEDS_MAX 1024
#define INPUT_MAX 4096
#define PATH_MAX_BYTES 4096
#define DEFAULT_RUNS 50000
#define STEPS_MAX 6

struct input {
	uint8_t bytes[INPUT_MAX];
	size_t size;
};

static struct input *seeds[SEEDS_MAX];
static size_t seed_count;
static uint64_t random_state = 1;

static const char *const words[] = {
	" ",
	"=",
	"#",
	"\n",
	"\r\n",
	"-",
	".",
	"*",
	"0",
	"9",
	"\"",
	"{",
	"OK ",
	"ERR ",
	"* ",
	"GET ",
	"DROP ",
	"retry=",
	"never",
	"18446744073709551616",
	"9223372036854775808",
};

/* SplitMix64, below `n`. */
static size_t below(size_t n)
{
	uint64_t z = random_state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return n ? (size_t)((z ^ z >> 31) % n) : 0;
}

static void run(const uint8_t *bytes, size_t size)
{
	uint8_t *exact = malloc(size ? size : 1);

	fuzz_require(exact);
	memcpy(exact, bytes, size);
	(void)LLVMFuzzerTestOneInput(exact, size); /* 0, or it has not returned */
	free(exact);
}

static void load_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	struct input *input = malloc(sizeof(*input));

	fuzz_require(file && input && seed_count < SEEDS_MAX);
	input->size = fread(input->bytes, 1, sizeof(input->bytes), file);
	(void)fclose(file); /* it was only read */
	seeds[seed_count++] = input;
}

static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* In the order of their names, so that each run is the same. */
static void load_folder(const char *path)
{
	struct dirent **entries;
	int n = scandir(path, &entries, is_visible, alphasort);
	char name[PATH_MAX_BYTES];

	fuzz_require(n >= 0);
	for (int i = 0; i < n; i++) {
		(void)snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name);
		load_file(name);
		free(entries[i]);
	}
	free(entries);
}

static void load(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0) {
		perror(path);
		exit(1);
	}
	if (S_ISDIR(st.st_mode))
		load_folder(path);
	else
		load_file(path);
}

/* Puts bytes in at a place; what is pushed beyond the end is lost. */
static void insert(struct input *in, size_t at, const void *bytes, size_t size)
{
	size_t rest = in->size - at;

	if (size > INPUT_MAX - at)
		size = INPUT_MAX - at;
	if (rest > INPUT_MAX - at - size)
		rest = INPUT_MAX - at - size;
	memmove(in->bytes + at + size, in->bytes + at, rest);
	memcpy(in->bytes + at, bytes, size);
	in->size = at + size + rest;
}

static void cut(struct input *in, size_t at, size_t size)
{
	memmove(in->bytes + at, in->bytes + at + size, in->size - at - size);
	in->size -= size;
}

static void insert_part(struct input *in, size_t at, const struct input *from)
{
	uint8_t part[INPUT_MAX];
	size_t begin = below(from->size + 1);
	size_t size = below(from->size - begin + 1);

	memcpy(part, from->bytes + begin, size); /* it may be the same input */
	insert(in, at, part, size);
}

static void mutate(struct input *in)
{
	size_t at = below(in->size + 1);
	const char *word = words[below(sizeof(words) / sizeof(*words))];
	uint8_t byte = (uint8_t)below(256);

	switch (below(7)) {
	case 0:
		if (at < in->size)
			in->bytes[at] ^= (uint8_t)(1u << below(8));
		break;
	case 1:
		if (at < in->size)
			in->bytes[at] = byte;
		break;
	case 2:
		insert(in, at, &byte, 1);
		break;
	case 3:
		insert(in, at, word, strlen(word));
		break;
	case 4:
		cut(in, at, below(in->size - at + 1));
		break;
	case 5:
		insert_part(in, at, in);
		break;
	default:
		insert_part(in, at, seeds[below(seed_count)]);
		break;
	}
}

static void run_mutations(size_t runs)
{
	static struct input in;

	while (runs--) {
		in = *seeds[below(seed_count)];
		for (size_t steps = below(STEPS_MAX); steps > 0; steps--)
			mutate(&in);
		run(in.bytes, in.size);
	}
}

int main(int argc, char **argv)
{
	size_t runs = DEFAULT_RUNS;

	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], "-runs=", 6) == 0)
			runs = strtoul(argv[i] + 6, NULL, 10);
		else
			load(argv[i]);
	}
	if (seed_count == 0) {
		(void)fprintf(stderr, "no seeds\n");
		return 1;
	}
	for (size_t i = 0; i < seed_count; i++)
		run(seeds[i]->bytes, seeds[i]->size);
	run_mutations(runs);
	printf("%zu seeds, %zu mutations\n", seed_count, runs);
	while (seed_count)
		free(seeds[--seed_count]);
	return 0;
}
