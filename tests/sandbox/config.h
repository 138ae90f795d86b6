/* config.h: the settings that the control interface can change, as JSON. */
#ifndef SANDBOX_CONFIG_H
#define SANDBOX_CONFIG_H

#include <cjson/cJSON.h>

#include "sandbox.h"

/* The settings of a sandbox for which nobody chose any. */
void config_default(struct sandbox_config *config);

/* Changes the settings that the object names: all of them, or none. 0; or -EINVAL with the member
 * that is wrong in *ret_member, which belongs to `json` (NULL: it is no object). */
int config_change(struct sandbox_config *config, const cJSON *json, const char **ret_member);

/* Appends the settings as a JSON object. */
void config_print(const struct sandbox_config *config, struct text *text);

#endif
