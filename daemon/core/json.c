/* See json.h. `struct json` is cJSON's own node under another name. */
#include "daemon/core/json.h"

#include "base/mem.h"

#include <cjson/cJSON.h>
#include <errno.h>

/* cJSON answers NULL for bad syntax and for no memory alike; this tells them apart. */
static _Thread_local bool out_of_memory;

static void *allocate(size_t size)
{
	void *ptr = mem_alloc(size);

	if (!ptr)
		out_of_memory = true;
	return ptr;
}

void json_global_init(void)
{
	cJSON_InitHooks(&(cJSON_Hooks){ .malloc_fn = allocate, .free_fn = mem_free });
}

/* Before cJSON recurses into it. That the rest is JSON is for cJSON to find out. */
static bool is_acceptable(struct span text)
{
	size_t depth = 0;
	bool in_string = false;

	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];

		if (c == '\0' || depth > JSON_DEPTH_MAX)
			return false;
		if (in_string && c == '\\') {
			i++;
			if (span_starts(span_of(text.ptr + i, text.len - i), "u0000"))
				return false;
		} else if (c == '"') {
			in_string = !in_string;
		} else if (!in_string && (c == '{' || c == '[')) {
			depth++;
		} else if (!in_string && depth && (c == '}' || c == ']')) {
			depth--;
		}
	}
	return true;
}

static bool is_blank(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!memchr(" \t\r\n", text.ptr[i], 4))
			return false;
	return true;
}

int json_parse(struct span text, struct json **ret)
{
	const char *end;
	cJSON *root;

	if (text.len == 0 || !is_acceptable(text))
		return JSON_INVALID;
	out_of_memory = false;
	root = cJSON_ParseWithLengthOpts(text.ptr, text.len, &end, false);
	if (!root)
		return out_of_memory ? -ENOMEM : JSON_INVALID;
	if (!is_blank(span_of(end, (size_t)(text.ptr + text.len - end)))) {
		cJSON_Delete(root);
		return JSON_INVALID;
	}
	*ret = (struct json *)root;
	return 0;
}

void json_free(struct json *j)
{
	cJSON_Delete((cJSON *)j);
}

const struct json *json_member(const struct json *j, const char *name)
{
	return (const struct json *)cJSON_GetObjectItemCaseSensitive((const cJSON *)j, name);
}

bool json_is_null(const struct json *j)
{
	return cJSON_IsNull((const cJSON *)j);
}

bool json_is_empty(const struct json *j)
{
	const cJSON *node = (const cJSON *)j;

	return cJSON_IsObject(node) && !node->child;
}

bool json_is_alone(const struct json *j)
{
	const cJSON *node = (const cJSON *)j;

	return node && !node->next && node->prev == node; /* the first's is the last */
}

const struct json *json_first(const struct json *j)
{
	const cJSON *node = (const cJSON *)j;

	return cJSON_IsArray(node) ? (const struct json *)node->child : NULL;
}

const struct json *json_next(const struct json *element)
{
	return (const struct json *)((const cJSON *)element)->next;
}

bool json_string(const struct json *j, struct span *ret)
{
	const char *string = cJSON_GetStringValue((const cJSON *)j);

	if (!string)
		return false;
	*ret = span_str(string);
	return true;
}

bool json_number(const struct json *j, double *ret)
{
	const cJSON *node = (const cJSON *)j;

	if (!cJSON_IsNumber(node))
		return false;
	*ret = node->valuedouble;
	return true;
}

size_t json_write(const struct json *j, char *to, size_t size)
{
	return cJSON_PrintPreallocated((cJSON *)j, to, (int)size, false) ? strlen(to) : 0;
}
