// exit.json: how the main command ended, for whoever asks after init is gone.
#ifndef WEFT_INIT_EXIT_FILE_H_
#define WEFT_INIT_EXIT_FILE_H_

#include <stdint.h>

namespace weft {

struct ExitStatus {
  uint8_t code;    // what the command returned; 128 + signal if a signal ended it
  uint8_t signal;  // 0: it ended by itself
};

// Removes what an earlier use of the directory left.
void RemoveExitFile(int dir_fd);

// Appears whole or not at all.
void WriteExitFile(int dir_fd, ExitStatus status, uint64_t started_at_ms, uint64_t ended_at_ms);

}  // namespace weft

#endif  // WEFT_INIT_EXIT_FILE_H_
