// exit.json: written under a temporary name, then renamed.
#include "exit_file.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

namespace weft {
namespace {

constexpr char kName[] = "exit.json";
constexpr char kTemporaryName[] = "exit.json.tmp";

}  // namespace

void RemoveExitFile(int dir_fd) { unlinkat(dir_fd, kName, 0); }

void WriteExitFile(int dir_fd, ExitStatus status, uint64_t started_at_ms, uint64_t ended_at_ms) {
  char text[128];
  const int length =
      snprintf(text, sizeof(text),
               "{\"code\":%u,\"signal\":%u,\"startedAt\":%" PRIu64 ",\"endedAt\":%" PRIu64 "}\n",
               status.code, status.signal, started_at_ms, ended_at_ms);
  const int fd = openat(dir_fd, kTemporaryName, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return;
  const bool whole = write(fd, text, static_cast<size_t>(length)) == length;
  close(fd);
  if (whole) renameat(dir_fd, kTemporaryName, dir_fd, kName);
}

}  // namespace weft
