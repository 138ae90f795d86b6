/* What systemd is told (sd_notify(3)). Without systemd these do nothing. */
#pragma once

void notify_ready(void);
void notify_reloading(void);
void notify_stopping(void);
