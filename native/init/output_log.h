// The main command's output on disk: output.log, and output.log.1 before it.
//
// A record is written whole or not at all, also when the disk is full. Format: README.md.
#ifndef WEFT_INIT_OUTPUT_LOG_H_
#define WEFT_INIT_OUTPUT_LOG_H_

#include <stddef.h>
#include <stdint.h>

#include "error.h"

namespace weft {

class OutputLog {
 public:
  Error Open(int dir_fd);

  // `stream`: 1 stdout, 2 stderr.
  void Append(uint8_t stream, const void* bytes, size_t count);

 private:
  bool Begin();
  void Rotate();

  int dir_fd_ = -1;
  int fd_ = -1;
  uint64_t size_ = 0;
};

}  // namespace weft

#endif  // WEFT_INIT_OUTPUT_LOG_H_
