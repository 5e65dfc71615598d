/* inspect.h - what the parts of sl_file share. */
#ifndef ENGINE_INSPECT_H
#define ENGINE_INSPECT_H

#include "engine/model_files.h"

struct sl_file {
    os_mapping mapping;
    model_file tables;
    /* Where the walk through an array of strings stands. */
    size_t walk_entry, walk_cursor;
    uint64_t walk_element;
};

#endif
