/* See script.h. */
#include "tests/replay/script.h"

#include "base/span.h"

#include <string.h>

static void fill_in(const char *line, unsigned long turn, char *to, size_t size)
{
	const char *hole;
	size_t len = 0;

	while ((hole = strstr(line, "{}")) && len < size) {
		len += (size_t)snprintf(to + len, size - len, "%.*s%lu", (int)(hole - line), line,
					turn);
		line = hole + 2;
	}
	if (len < size)
		(void)snprintf(to + len, size - len, "%s", line);
}

/* True if it was a line of the loop's own. */
static bool is_loop(struct script *s, const char *line)
{
	if (sscanf(line, "repeat %lu", &s->turns) == 1) {
		s->turn = 1;
		s->loop_from = ftell(s->file);
		s->loop_number = s->number;
		return true;
	}
	if (strcmp(line, "end") != 0)
		return false;
	if (s->turn < s->turns && fseek(s->file, s->loop_from, SEEK_SET) == 0) {
		s->turn++;
		s->number = s->loop_number;
	}
	return true;
}

static bool split(struct script *s, struct line *ret)
{
	char *save = NULL, *word;

	(void)snprintf(s->copy, sizeof(s->copy), "%s", s->text);
	*ret = (struct line){ .verb = strtok_r(s->copy, " ", &save) };
	if (!ret->verb)
		return false;
	while (ret->count < SCRIPT_WORDS && (word = strtok_r(NULL, " ", &save)))
		ret->words[ret->count++] = word;
	ret->rest = s->text + strcspn(s->text, " ");
	ret->rest += strspn(ret->rest, " ");
	return true;
}

bool script_next(struct script *s, struct line *ret)
{
	char line[SCRIPT_LINE];

	while (fgets(line, sizeof(line), s->file)) {
		s->number++;
		line[strcspn(line, "#\n")] = '\0';
		for (size_t len = strlen(line); len && line[len - 1] == ' '; len--)
			line[len - 1] = '\0';
		if (is_loop(s, line))
			continue;
		fill_in(line, s->turn, s->text, sizeof(s->text));
		if (split(s, ret))
			return true;
	}
	return false;
}

bool script_time(char *text, char **ret_rest, uint64_t *ret_from, uint64_t *ret_to)
{
	char *space = strchr(text, ' ');
	struct span word = span_of(text, space ? (size_t)(space - text) : strlen(text));
	struct span to = word, from;

	if (!space || !span_split(&to, '.', &from) || span_parse_u64(from, INT64_MAX, ret_from) < 0)
		return false;
	*ret_to = *ret_from;
	*ret_rest = space + 1;
	if (!to.ptr)
		return true;
	return to.len > 1 && to.ptr[0] == '.' &&
	       span_parse_u64(span_of(to.ptr + 1, to.len - 1), INT64_MAX, ret_to) == 0;
}
