/* Users and groups by name, as the host knows them (nsswitch.conf(5)). It may take its time: at
 * load time only. */
#pragma once

#include "daemon/core/rule.h"

extern const struct rule_names names_of_host;
