/*
 * fault.c: the list of faults.
 *
 * Model: a list in the order of its making. A token request takes the first fault that matches it,
 * and that one only. Which members a kind has is a table, and anything else in the object is an
 * error: a fault with a misspelt member would let a test pass that tests nothing.
 */
#include "fault.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "number.h"
#include "token.h"

#define BIT(field) (1u << FAULT_FIELD_##field)
#define COMMON (BIT(SESSION) | BIT(TEMPLATE) | BIT(COUNT) | BIT(AFTER_MS))

static const struct {
	const char *name;
	bool is_number;
	bool is_header; /* goes into a header line: no control characters */
	int64_t min;
	int64_t max;
} fields[FAULT_N_FIELDS] = {
	[FAULT_FIELD_SESSION] = { .name = "session" },
	[FAULT_FIELD_TEMPLATE] = { .name = "template" },
	[FAULT_FIELD_COUNT] = { "count", true, false, -1, 1000000000 },
	[FAULT_FIELD_AFTER_MS] = { "after_ms", true, false, 0, FAULT_MAX_DELAY_MS },
	[FAULT_FIELD_STATUS] = { "status", true, false, 200, 599 },
	[FAULT_FIELD_CODE] = { .name = "code" },
	[FAULT_FIELD_MESSAGE] = { .name = "message" },
	[FAULT_FIELD_RETRY_AFTER] = { .name = "retry_after", .is_header = true },
	[FAULT_FIELD_BODY] = { .name = "body" },
	[FAULT_FIELD_JWT] = { .name = "jwt" },
	[FAULT_FIELD_VALUE] = { .name = "value", .is_header = true },
	[FAULT_FIELD_MS] = { "ms", true, false, 0, FAULT_MAX_DELAY_MS },
	[FAULT_FIELD_BYTES] = { "bytes", true, false, 1, TOKEN_MAX_SIZE },
	[FAULT_FIELD_S] = { "s", true, false, 1, 315360000 },
};

static const struct {
	const char *name;
	unsigned required;
	unsigned optional;
} kinds[FAULT_N_KINDS] = {
	[FAULT_STATUS] = { "status", BIT(STATUS),
			   BIT(CODE) | BIT(MESSAGE) | BIT(RETRY_AFTER) | BIT(BODY) },
	[FAULT_HANG] = { "hang", 0, 0 },
	[FAULT_RESET] = { "reset", 0, 0 },
	[FAULT_CLOSE] = { "close", 0, 0 },
	[FAULT_HALF] = { "half", 0, 0 },
	[FAULT_STALL] = { "stall", 0, 0 },
	[FAULT_GARBAGE] = { "garbage", 0, 0 },
	[FAULT_NOT_JSON] = { "not_json", 0, 0 },
	[FAULT_NO_JWT] = { "no_jwt", 0, 0 },
	[FAULT_JWT] = { "jwt", BIT(JWT), 0 },
	[FAULT_EXPIRED] = { "expired", 0, 0 },
	[FAULT_NO_EXP] = { "no_exp", 0, 0 },
	[FAULT_CONTENT_TYPE] = { "content_type", BIT(VALUE), 0 },
	[FAULT_HUGE] = { "huge", BIT(BYTES), 0 },
	[FAULT_SAME] = { "same", 0, 0 },
	[FAULT_DELAY] = { "delay", BIT(MS), 0 },
	[FAULT_CHUNKED] = { "chunked", 0, 0 },
	[FAULT_LIFETIME] = { "lifetime", BIT(S), 0 },
};

void faults_init(struct faults *faults)
{
	*faults = (struct faults){ .end = &faults->first };
}

static void fault_free(struct fault *fault)
{
	if (!fault)
		return;
	cJSON_Delete(fault->json);
	free(fault);
}

static void list_free(struct fault *fault)
{
	while (fault) {
		struct fault *next = fault->next;
		fault_free(fault);
		fault = next;
	}
}

/* A member is one of the kind's, or it is an error. */
static int parse_kind(const cJSON *json, enum fault_kind *ret_kind, char *error)
{
	const cJSON *name = cJSON_GetObjectItemCaseSensitive(json, "kind");

	for (size_t i = 0; cJSON_IsString(name) && i < FAULT_N_KINDS; i++) {
		if (strcmp(name->valuestring, kinds[i].name) == 0) {
			*ret_kind = (enum fault_kind)i;
			return 0;
		}
	}
	(void)snprintf(error, FAULT_ERROR_SIZE, "a fault needs a known kind, not \"%.64s\"",
		       cJSON_IsString(name) ? name->valuestring : "");
	return -EINVAL;
}

static size_t find_field(const char *name)
{
	size_t i = 0;

	while (i < FAULT_N_FIELDS && strcmp(fields[i].name, name) != 0)
		i++;
	return i;
}

static bool has_control_characters(const char *string)
{
	for (; *string; string++) {
		if ((unsigned char)*string < 0x20 || *string == 0x7f)
			return true;
	}
	return false;
}

static int parse_value(const cJSON *member, size_t field, struct fault *fault)
{
	if (fields[field].is_number) {
		if (!cJSON_IsNumber(member))
			return -EINVAL;
		return number_from_double(member->valuedouble, fields[field].min, fields[field].max,
					  &fault->number[field]);
	}
	if (!cJSON_IsString(member))
		return -EINVAL;
	if (fields[field].is_header && has_control_characters(member->valuestring))
		return -EINVAL;
	fault->string[field] = member->valuestring;
	return 0;
}

static int parse_members(struct fault *fault, char *error)
{
	unsigned allowed = COMMON | kinds[fault->kind].required | kinds[fault->kind].optional;
	unsigned seen = 0;
	const cJSON *member = NULL;

	cJSON_ArrayForEach(member, fault->json)
	{
		if (strcmp(member->string, "kind") == 0)
			continue;
		size_t field = find_field(member->string);
		if (field == FAULT_N_FIELDS || !(allowed & 1u << field)) {
			(void)snprintf(error, FAULT_ERROR_SIZE, "a fault of kind %s has no %.64s",
				       kinds[fault->kind].name, member->string);
			return -EINVAL;
		}
		if (parse_value(member, field, fault) < 0) {
			(void)snprintf(error, FAULT_ERROR_SIZE, "bad value of %s",
				       fields[field].name);
			return -EINVAL;
		}
		seen |= 1u << field;
	}
	if ((seen & kinds[fault->kind].required) != kinds[fault->kind].required) {
		(void)snprintf(error, FAULT_ERROR_SIZE, "a fault of kind %s lacks a member",
			       kinds[fault->kind].name);
		return -EINVAL;
	}
	return 0;
}

/* Sees to it that the fault has a count, in both of its forms. */
static int default_count(struct fault *fault, char *error)
{
	if (fault->number[FAULT_FIELD_COUNT] != 0)
		return 0;
	if (cJSON_GetObjectItemCaseSensitive(fault->json, "count")) {
		(void)snprintf(error, FAULT_ERROR_SIZE, "bad value of count");
		return -EINVAL;
	}
	fault->number[FAULT_FIELD_COUNT] = 1;
	if (cJSON_AddNumberToObject(fault->json, "count", 1))
		return 0;
	(void)snprintf(error, FAULT_ERROR_SIZE, "out of memory");
	return -ENOMEM;
}

static int fault_parse(const cJSON *json, struct fault **ret_fault, char *error)
{
	enum fault_kind kind = FAULT_N_KINDS;

	if (!cJSON_IsObject(json)) {
		(void)snprintf(error, FAULT_ERROR_SIZE, "a fault is a JSON object");
		return -EINVAL;
	}
	int r = parse_kind(json, &kind, error);
	if (r < 0)
		return r;
	struct fault *fault = calloc(1, sizeof(*fault));
	cJSON *copy = cJSON_Duplicate(json, 1);
	if (!fault || !copy) {
		(void)snprintf(error, FAULT_ERROR_SIZE, "out of memory");
		free(fault);
		cJSON_Delete(copy);
		return -ENOMEM;
	}
	fault->kind = kind;
	fault->json = copy;
	r = parse_members(fault, error);
	if (r == 0)
		r = default_count(fault, error);
	if (r < 0)
		fault_free(fault);
	else
		*ret_fault = fault;
	return r;
}

int faults_add(struct faults *faults, const cJSON *json, char ret_error[FAULT_ERROR_SIZE])
{
	struct fault *first = NULL;
	struct fault **end = &first;
	size_t count = 0;
	const cJSON *item = cJSON_IsArray(json) ? json->child : json;
	int r = 0;

	for (; item && r == 0; item = cJSON_IsArray(json) ? item->next : NULL) {
		struct fault *fault = NULL;
		r = fault_parse(item, &fault, ret_error);
		if (r < 0)
			break;
		*end = fault;
		end = &fault->next;
		count++;
		if (faults->count + count > FAULT_MAX_COUNT) {
			(void)snprintf(ret_error, FAULT_ERROR_SIZE, "too many faults");
			r = -ENOSPC;
		}
	}
	if (r < 0) {
		list_free(first);
		return r;
	}
	if (first) {
		*faults->end = first;
		faults->end = end;
		faults->count += count;
	}
	return 0;
}

static bool fault_matches(const struct fault *fault, const char *session, const char *template)
{
	const char *of_session = fault->string[FAULT_FIELD_SESSION];
	const char *of_template = fault->string[FAULT_FIELD_TEMPLATE];

	if (of_session && strcmp(of_session, session) != 0)
		return false;
	return !of_template || strcmp(of_template, template ? template : "-") == 0;
}

struct fault *faults_match(struct faults *faults, const char *session, const char *template)
{
	struct fault *fault = faults->first;

	while (fault && !fault_matches(fault, session, template))
		fault = fault->next;
	if (fault && fault->number[FAULT_FIELD_COUNT] > 0) {
		cJSON *count = cJSON_GetObjectItemCaseSensitive(fault->json, "count");
		fault->number[FAULT_FIELD_COUNT]--;
		(void)cJSON_SetNumberValue(count, (double)fault->number[FAULT_FIELD_COUNT]);
	}
	return fault;
}

void faults_settle(struct faults *faults, struct fault *fault)
{
	struct fault **link = &faults->first;

	if (!fault || fault->number[FAULT_FIELD_COUNT] != 0)
		return;
	while (*link != fault)
		link = &(*link)->next;
	*link = fault->next;
	if (!fault->next)
		faults->end = link;
	faults->count--;
	fault_free(fault);
}

void faults_clear(struct faults *faults)
{
	list_free(faults->first);
	faults_init(faults);
}

void faults_print(const struct faults *faults, struct text *text)
{
	text_puts(text, "[");
	for (const struct fault *fault = faults->first; fault; fault = fault->next) {
		char *json = cJSON_PrintUnformatted(fault->json);
		if (fault != faults->first)
			text_puts(text, ",");
		text_puts(text, json ? json : "null"); /* out of memory for this one */
		cJSON_free(json);
	}
	text_puts(text, "]");
}
