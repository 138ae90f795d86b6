/* See frontrequest.h. */
#include "daemon/core/frontrequest.h"

#include "daemon/core/setting.h"
#include "daemon/core/url.h"

#define BEARER "bearer "

/* What matters of the fields. */
struct look {
	struct span authorization, version, type;
	size_t n_authorizations;
	bool is_foreign; /* forwarded, or a browser's */
};

static void look_at(struct look *l, const struct httpfield *field)
{
	static const char forwarded[] = "x-forwarded-";
	size_t len = sizeof(forwarded) - 1;
	struct span name = field->name;

	switch (name.ptr[0] | ' ') {
	case 'a':
		if (httphead_is(name, "authorization") && l->n_authorizations++ == 0)
			l->authorization = field->value;
		break;
	case 'c':
		if (httphead_is(name, "clerk-api-version"))
			l->version = field->value;
		else if (httphead_is(name, "content-type"))
			l->type = field->value;
		break;
	case 'f':
		l->is_foreign |= httphead_is(name, "forwarded");
		break;
	case 'o':
		l->is_foreign |= httphead_is(name, "origin");
		break;
	case 's':
		l->is_foreign |= httphead_is(name, "sec-fetch-site");
		break;
	case 'v':
		l->is_foreign |= httphead_is(name, "via");
		break;
	case 'x':
		l->is_foreign |= httphead_is(name, "x-real-ip") ||
				 (name.len > len && httphead_is(span_of(name.ptr, len), forwarded));
		break;
	default:
		break;
	}
}

static const struct tokenapi_error *check_key(const struct keyring *keys, const struct look *l)
{
	size_t len = sizeof(BEARER) - 1;
	struct span value = l->authorization;

	if (l->n_authorizations == 0)
		return &tokenapi_no_key;
	if (l->n_authorizations > 1 || value.len <= len ||
	    !httphead_is(span_of(value.ptr, len), BEARER))
		return &tokenapi_bad_authorization;
	value = span_trim(span_of(value.ptr + len, value.len - len));
	return keyring_knows(keys, value) ? NULL : &tokenapi_bad_key;
}

static bool is_json(struct span type)
{
	struct span name;

	return span_split(&type, ';', &name) && httphead_is(span_trim(name), "application/json");
}

/* True if it means to Clerk what it means here. */
static bool is_for_token(const struct httphead *head, const struct look *l,
			 struct frontrequest *request)
{
	return span_is(head->method, "POST") && !head->query.ptr &&
	       tokenapi_parse_path(head->path, &request->session, &request->template) &&
	       (!l->version.ptr || setting_is_version(l->version)) &&
	       (!request->has_body || is_json(l->type));
}

const struct tokenapi_error *frontrequest_check(const struct httphead *head, const char *address,
						const struct keyring *keys,
						struct frontrequest *ret)
{
	const struct tokenapi_error *error = NULL;
	struct look l = { 0 };

	*ret = (struct frontrequest){ .has_body = head->is_chunked || head->length > 0 };
	for (size_t i = 0; i < head->n_fields; i++)
		look_at(&l, &head->fields[i]);
	if (address && !url_names(head->host, span_str(address)))
		return &tokenapi_bad_host;
	if (l.is_foreign)
		return &tokenapi_forwarded;
	if (address)
		error = check_key(keys, &l);
	if (!error)
		ret->is_for_token = is_for_token(head, &l, ret);
	return error;
}
