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

/* Bytes per second at which a file is read, in each of OS_DISK_RUNS runs of 0.4 seconds: many large
 * pieces at once, as reader.h does it, each run from another part. *direct says whether they went
 * past the page cache. */
SL_CHECK sl_status os_disk_measure(const char *path, double rates[OS_DISK_RUNS], bool *direct,
                                   sl_error *error);

/* The same of a file of 128 MiB that is made in `folder`, without a name, and gone afterwards. */
SL_CHECK sl_status os_disk_measure_in(const char *folder, double rates[OS_DISK_RUNS], bool *direct,
                                      sl_error *error);

#endif
