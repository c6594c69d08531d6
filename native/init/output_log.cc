// The main command's output on disk: records and rotation.
#include "output_log.h"

#include <arpa/inet.h>
#include <endian.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

namespace weft {
namespace {

constexpr char kName[] = "output.log";
constexpr char kOldName[] = "output.log.1";

// With the old file 16 MiB at most: what a tmpfs run directory can bear per sandbox.
constexpr uint64_t kMaxFileBytes = 8 << 20;

struct RecordHeader {
  uint8_t stream;
  uint8_t zero[3];
  uint32_t length;        // big endian
  uint64_t unix_time_ns;  // big endian
};
static_assert(sizeof(RecordHeader) == 16);

uint64_t UnixTimeNs() {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace

Error OutputLog::Open(int dir_fd) {
  dir_fd_ = dir_fd;
  unlinkat(dir_fd_, kOldName, 0);
  if (!Begin()) return Error::FromErrno(kInternal, "open %s", kName);
  return {};
}

bool OutputLog::Begin() {
  fd_ = openat(dir_fd_, kName, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  size_ = 0;
  return fd_ >= 0;
}

void OutputLog::Rotate() {
  if (renameat(dir_fd_, kName, dir_fd_, kOldName) != 0) return;
  close(fd_);
  Begin();
}

void OutputLog::Append(uint8_t stream, const void* bytes, size_t count) {
  RecordHeader header = {};
  header.stream = stream;
  header.length = htonl(static_cast<uint32_t>(count));
  header.unix_time_ns = htobe64(UnixTimeNs());
  const size_t total = sizeof(header) + count;
  if (size_ > 0 && size_ + total > kMaxFileBytes) Rotate();
  if (fd_ < 0) return;
  const iovec parts[] = {{&header, sizeof(header)}, {const_cast<void*>(bytes), count}};
  if (writev(fd_, parts, 2) == static_cast<ssize_t>(total)) {
    size_ += total;
    return;
  }
  // The disk is full. Half a record would make nonsense of all that follow; this one is lost.
  if (ftruncate(fd_, static_cast<off_t>(size_)) == 0)
    lseek(fd_, static_cast<off_t>(size_), SEEK_SET);
}

}  // namespace weft
