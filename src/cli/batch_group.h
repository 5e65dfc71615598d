/* batch_group.h - opening the group of sessions that computes a batch: as many as are of use and
 * memory has room for. */
#ifndef CLI_BATCH_GROUP_H
#define CLI_BATCH_GROUP_H

#include "cli/batch_room.h"

/* Opens s->job's group and the slots. Returns CLI_DONE, or the exit status after a message; either
 * way the caller ends with group_close. */
int group_open(schedule *s);
void group_close(schedule *s);

#endif
