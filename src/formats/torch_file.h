/* torch_file.h - reads what torch.save writes of a state dictionary (pytorch_model.bin), from
 * memory. Source of the layouts: torch/serialization.py and torch/_utils.py of PyTorch.
 *
 * zip (since 1.6)   PREFIX/data.pkl     pickle of an (ordered) dictionary of tensors
 *                   PREFIX/data/KEY     a storage's values; PREFIX/byteorder: "little"
 * before            pickles: magic number, protocol 1001, facts of the system, the dictionary, a
 *                   list of storages' keys; then for each key u64 count and that many values
 *
 * A tensor is a call of torch._utils._rebuild_tensor_v2 with a storage, an offset, sizes and
 * strides, which are read, not called: see pickle.h.
 */
#ifndef FORMATS_TORCH_FILE_H
#define FORMATS_TORCH_FILE_H

#include "formats/raw_tensors.h"

/* Whether the bytes begin as one of the layouts does, or as the one before them, which is known
 * but not read. */
bool torch_file_detect(const uint8_t *bytes, size_t size);

/* Appends the dictionary's tensors to *list in its order; they point into the bytes, and several
 * may share theirs (tied weights). Refused with what was expected and found: whatever the pickle
 * names beside tensors, dictionaries and numbers, storages that are missing, of another size, of a
 * big-endian machine or of no CPU's values, tensors that pass their storage's end, TorchScript
 * archives, the tar layout of before 2017. On failure some tensors may have been appended. */
SL_CHECK sl_status torch_file_parse(const uint8_t *bytes, size_t size, raw_tensors *list,
                                    sl_error *error);

#endif
