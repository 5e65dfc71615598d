/* machine.h - what the system tells of the machine, and how fast it reads files. */
#ifndef OS_MACHINE_H
#define OS_MACHINE_H

#include "os/os.h"

/* The processor's name as the system has it; "" where it has none. */
void os_processor_name(char *name, size_t size);

/* Number of the file system that a file or folder is on; 0 if there is none at `path`. */
uint64_t os_device_of(const char *path);

/* Bytes of a file; 0 if there is none at `path`. */
uint64_t os_file_size(const char *path);

enum { OS_DISK_RUNS = 3 };

/* Bytes per second at which parts of a file are read, and the same parts once more: a disk, or the
 * host of a virtual machine, may have a cache that a program cannot pass by. */
typedef struct os_disk_rates {
    double first[OS_DISK_RUNS], again[OS_DISK_RUNS];
    bool direct; /* the reads went past this system's page cache */
} os_disk_rates;

/* Many large pieces at once, as reader.h reads them, in runs of 0.4 seconds, each from another part
 * of the file. On failure *rates is of no use. */
SL_CHECK sl_status os_disk_measure(const char *path, os_disk_rates *rates, sl_error *error);

/* The same of a file of 128 MiB that is made in `folder`, without a name, and gone afterwards. */
SL_CHECK sl_status os_disk_measure_in(const char *folder, os_disk_rates *rates, sl_error *error);

#endif
