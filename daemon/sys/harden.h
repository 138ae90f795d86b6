/* What the process gives up, so that its secrets stay its own. */
#pragma once

#include <stddef.h>

struct config;

/* No core dump, no ptrace by the same user, no new privileges; SIGPIPE is ignored. */
void harden_process(void);

/* Keeps memory out of swap: all of it as it is used, where the limit of locked memory is none (no
 * allocation can then fail because of it); else only what harden_key() is given. */
void harden_memory(void);

/* The pages that hold a key are not swapped out, nor dumped. */
void harden_key(const void *ptr, size_t size);

/* Raises the limit of open files to what that configuration may need, or warns that this is not
 * allowed. */
void harden_raise_files(const struct config *c);
