/* The engine against what people do instead, on generated traces, in virtual time.
 *
 *     scale SCENE DIRECTORY     leaves SCENE.md, SCENE.reach and SCENE.tsv there
 *
 * docs/SCALE.md explains what is shown; bench/scale/refresh puts the tables into it.
 */
#include "bench/scale/scene.h"

#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	scene_fn *run;
} scenes[] = {
	{ "steady", scene_steady }, { "browsing", scene_browsing }, { "mixed", scene_mixed },
	{ "crowd", scene_crowd },   { "stranger", scene_stranger }, { "outage", scene_outage },
	{ "users", scene_users },   { "watchers", scene_watchers }, { "day", scene_day },
};

static FILE *open_for(const char *directory, const char *scene, const char *suffix)
{
	char path[4096];
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/%s.%s", directory, scene, suffix);
	file = fopen(path, "w");
	if (!file) {
		perror(path);
		exit(1);
	}
	return file;
}

static void run(scene_fn *scene, const char *name, const char *directory)
{
	struct output to = {
		.table = open_for(directory, name, "md"),
		.reach = open_for(directory, name, "reach"),
		.tsv = open_for(directory, name, "tsv"),
	};

	scene(&to);
	(void)fclose(to.table);
	(void)fclose(to.reach);
	(void)fclose(to.tsv);
}

int main(int argc, char **argv)
{
	for (size_t i = 0; argc == 3 && i < COUNT(scenes); i++) {
		if (strcmp(argv[1], scenes[i].name) != 0)
			continue;
		run(scenes[i].run, argv[1], argv[2]);
		return 0;
	}
	(void)fputs("usage: scale SCENE DIRECTORY\n", stderr);
	return 2;
}
