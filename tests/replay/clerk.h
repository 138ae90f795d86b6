/* What Clerk answers, in the words of a timeline:
 *
 *     token NAME life=SECONDS           the token h.NAME.s
 *     CODE [retry_after=MS]             as the core sees it
 *     http STATUS [NAME=VALUE ...]      as it comes over the wire; of a token: iat= and exp=, of an
 *                                       error: code=; headers: date= and retry_after=. Times are
 *                                       in seconds of Clerk's own clock.
 */
#pragma once

#include "daemon/core/answer.h"

#include "base/instant.h"

/* NULL, or what is wrong with it. outcome_deinit() afterwards. */
const char *clerk_answer(char *const words[], size_t count, struct mono now, struct outcome *ret);
