/* What the process gives up, so that its secrets stay its own. */
#pragma once

#include <stddef.h>

/* No core dump, no ptrace by the same user, no new privileges; SIGPIPE is ignored. */
void harden_process(void);

/* Keeps memory out of swap: all of it as it is used, where the limit of locked memory is none (no
 * allocation can then fail because of it); else only what harden_key() is given. */
void harden_memory(void);

/* The pages that hold a key are not swapped out, nor dumped. */
void harden_key(const void *ptr, size_t size);

/* Raises the limit of open files as far as is allowed, up to `wanted`; returns what it is. */
size_t harden_raise_files(size_t wanted);
