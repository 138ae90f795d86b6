/* What the process gives up, so that its secrets stay its own. */
#pragma once

#include <stddef.h>

/* No core dump, no ptrace by the same user, no new privileges; SIGPIPE is ignored. */
void harden_process(void);

/* Raises the limit of open files as far as is allowed, up to `wanted`; returns what it is. */
size_t harden_raise_files(size_t wanted);
