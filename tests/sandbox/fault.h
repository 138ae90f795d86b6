/* fault.h: what is to go wrong, with which token requests, and how often. */
#ifndef SANDBOX_FAULT_H
#define SANDBOX_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cjson/cJSON.h>

#include "text.h"

#define FAULT_MAX_COUNT 1000u /* faults waiting at a time */
#define FAULT_ERROR_SIZE 160u
#define FAULT_MAX_DELAY_MS 3600000

enum fault_kind {
	FAULT_STATUS,
	FAULT_HANG,
	FAULT_RESET,
	FAULT_CLOSE,
	FAULT_HALF,
	FAULT_STALL,
	FAULT_GARBAGE,
	FAULT_NOT_JSON,
	FAULT_NO_JWT,
	FAULT_JWT,
	FAULT_EXPIRED,
	FAULT_NO_EXP,
	FAULT_CONTENT_TYPE,
	FAULT_HUGE,
	FAULT_SAME,
	FAULT_DELAY,
	FAULT_CHUNKED,
	FAULT_LIFETIME,
	FAULT_N_KINDS,
};

/* Members of a fault's JSON object, beside its kind. */
enum fault_field {
	FAULT_FIELD_SESSION,
	FAULT_FIELD_TEMPLATE,
	FAULT_FIELD_COUNT,
	FAULT_FIELD_AFTER_MS,
	FAULT_FIELD_STATUS,
	FAULT_FIELD_CODE,
	FAULT_FIELD_MESSAGE,
	FAULT_FIELD_RETRY_AFTER,
	FAULT_FIELD_BODY,
	FAULT_FIELD_JWT,
	FAULT_FIELD_VALUE,
	FAULT_FIELD_MS,
	FAULT_FIELD_BYTES,
	FAULT_FIELD_S,
	FAULT_N_FIELDS,
};

struct fault {
	struct fault *next;
	enum fault_kind kind;
	const char *string[FAULT_N_FIELDS]; /* NULL where absent; they belong to `json` */
	int64_t number[FAULT_N_FIELDS];	    /* 0 where absent */
	cJSON *json;			    /* as it was given, its count kept up to date */
};

struct faults {
	struct fault *first;
	struct fault **end;
	size_t count;
};

void faults_init(struct faults *faults);

/* Adds the fault, or the array of faults, that `json` holds: all or none. 0; or -EINVAL, -ENOSPC or
 * -ENOMEM with a message for the user in *ret_error. */
int faults_add(struct faults *faults, const cJSON *json, char ret_error[FAULT_ERROR_SIZE]);

/* The first fault for that session and template (NULL: the plain token), one use of it spent; or
 * NULL. It stays valid until faults_settle. */
struct fault *faults_match(struct faults *faults, const char *session, const char *template);

/* Removes the fault that faults_match answered if that was its last use. NULL is fine. */
void faults_settle(struct faults *faults, struct fault *fault);

/* Removes all of them. */
void faults_clear(struct faults *faults);

/* Appends those that are left as a JSON array. */
void faults_print(const struct faults *faults, struct text *text);

#endif
