#include "../nat/flow_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace weft {

// Little endian as the machine is; a file does not leave its machine, nor its boot.
struct FlowStore::Header {
  char magic[8];
  uint32_t version;
  uint32_t flow_size;
  uint32_t capacity;
  uint32_t positions;
  char boot[40];  // /proc/sys/kernel/random/boot_id: the monotonic clock is of one boot
  uint32_t check;
  std::atomic<uint32_t> used;  // not covered by `check`

  uint32_t Check() const {
    uint64_t sum = 1;
    const auto* bytes = reinterpret_cast<const uint8_t*>(this);
    for (size_t i = 0; i < offsetof(Header, check); i += 4) {
      uint32_t word;
      memcpy(&word, bytes + i, 4);
      sum = Mix64(sum ^ word);
    }
    return static_cast<uint32_t>(sum);
  }
};

namespace {

constexpr char kMagic[8] = {'w', 'e', 'f', 't', 'f', 'l', 'o', 'w'};
constexpr uint32_t kVersion = 1;
constexpr size_t kPositionsAt = 4096;
constexpr size_t kFlowsAt = kPositionsAt + FlowStore::kPositions * 2 * sizeof(uint64_t);
// 2^24 flows are 1.5 GB: more is a mistake in a setting, or a torn file.
constexpr uint32_t kMostFlows = 1 << 24;

size_t LengthFor(uint32_t capacity) { return kFlowsAt + size_t{capacity} * sizeof(Flow); }

void ReadBootId(char (&boot)[40]) {
  memset(boot, 0, sizeof(boot));
  const int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  [[maybe_unused]] const ssize_t got = read(fd, boot, sizeof(boot) - 4);
  close(fd);
}

bool Fail(std::string* error, const std::string& what) {
  *error = what + ": " + strerror(errno);
  return false;
}

template <typename T>
void Store(T* at, T value) {
  std::atomic_ref<T>(*at).store(value, std::memory_order_relaxed);
}

}  // namespace

FlowStore::~FlowStore() { Unmap(); }

void FlowStore::Unmap() {
  if (base_ != nullptr) munmap(base_, length_);
  if (links_ != nullptr) munmap(links_, size_t{capacity_} * sizeof(FlowLinks));
  if (fd_ >= 0) close(fd_);
  base_ = nullptr;
  links_ = nullptr;
  fd_ = -1;
}

void FlowStore::Close() {
  if (fd_ < 0) return;
  flock(fd_, LOCK_UN);  // the mapping would hold it
  close(fd_);
  fd_ = -1;
}

bool FlowStore::Open(const std::string& path, uint32_t capacity, std::string* error,
                     std::string* note) {
  Unmap();
  capacity_ = std::clamp(capacity, kChunk, kMostFlows);
  capacity_ = (capacity_ + kChunk - 1) / kChunk * kChunk;
  restored_ = false;
  note->clear();
  // Pages that are never touched cost nothing.
  void* links = mmap(nullptr, size_t{capacity_} * sizeof(FlowLinks), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (links == MAP_FAILED) return Fail(error, "no memory for conntrack");
  links_ = static_cast<FlowLinks*>(links);
  if (path.empty()) return Map(-1, error);
  if (!MapFile(path, error, note)) return false;
  Validate();
  return true;
}

bool FlowStore::MapFile(const std::string& path, std::string* error, std::string* note) {
  const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) {
    if (errno != ENOENT) return Fail(error, "cannot open " + path);
    return Make(path, error);
  }
  // Two daemons on one file would each take the other's flows for free ones.
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    Fail(error, "another process has " + path);
    close(fd);
    return false;
  }
  struct stat status {};
  if (fstat(fd, &status) != 0) {
    Fail(error, "cannot read " + path);
    close(fd);
    return false;
  }
  const std::string wrong = S_ISREG(status.st_mode)
                                ? Judge(fd, static_cast<uint64_t>(status.st_size))
                                : "it is no regular file";
  if (!wrong.empty()) {
    const std::string aside = path + ".aside";
    *note = path + " was set aside as " + aside + ": " + wrong;
    close(fd);
    if (rename(path.c_str(), aside.c_str()) != 0) return Fail(error, "cannot set aside " + path);
    return Make(path, error);
  }
  restored_ = true;
  Header header;
  if (pread(fd, static_cast<void*>(&header), sizeof(header), 0) != sizeof(header)) {
    Fail(error, "cannot read " + path);
    close(fd);
    return false;
  }
  if (header.capacity != capacity_) {
    const bool moved = Move(fd, path, error);
    close(fd);
    return moved;
  }
  if (Map(fd, error)) return true;
  close(fd);
  return false;
}

std::string FlowStore::Judge(int fd, uint64_t size) const {
  Header header;
  if (size < sizeof(header) ||
      pread(fd, static_cast<void*>(&header), sizeof(header), 0) != sizeof(header)) {
    return "it is too short";
  }
  if (memcmp(header.magic, kMagic, sizeof(kMagic)) != 0) return "it is no file of flows";
  if (header.version != kVersion) return "it is of version " + std::to_string(header.version);
  if (header.check != header.Check()) return "its header is torn";
  if (header.flow_size != sizeof(Flow) || header.positions != kPositions) {
    return "its layout is another one";
  }
  if (header.capacity == 0 || header.capacity > kMostFlows || header.capacity % kChunk != 0 ||
      size != LengthFor(header.capacity)) {
    return "its length is not what its header says";
  }
  char boot[40];
  ReadBootId(boot);
  if (memcmp(boot, header.boot, sizeof(boot)) != 0) return "it is from before the machine's start";
  return "";
}

bool FlowStore::Map(int fd, std::string* error) {
  length_ = LengthFor(capacity_);
  void* base = mmap(nullptr, length_, PROT_READ | PROT_WRITE,
                    fd >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, fd, 0);
  if (base == MAP_FAILED) return Fail(error, "cannot map the flows");
  fd_ = fd;
  base_ = static_cast<uint8_t*>(base);
  positions_ = reinterpret_cast<KeptPosition*>(base_ + kPositionsAt);
  flows_ = reinterpret_cast<Flow*>(base_ + kFlowsAt);
  return true;
}

// Under another name until it is whole: what has the name is a file of flows.
bool FlowStore::Make(const std::string& path, std::string* error) {
  const std::string young = path + ".new";
  unlink(young.c_str());
  const int fd = open(young.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return Fail(error, "cannot make " + young);
  Header header{};
  memcpy(header.magic, kMagic, sizeof(kMagic));
  header.version = kVersion;
  header.flow_size = sizeof(Flow);
  header.capacity = capacity_;
  header.positions = kPositions;
  ReadBootId(header.boot);
  header.check = header.Check();
  if (ftruncate(fd, static_cast<off_t>(LengthFor(capacity_))) != 0 ||
      fallocate(fd, 0, 0, kFlowsAt) != 0 ||
      pwrite(fd, &header, sizeof(header), 0) != sizeof(header) || flock(fd, LOCK_EX) != 0) {
    Fail(error, "cannot write " + young);
    close(fd);
    return false;
  }
  if (!Map(fd, error)) {
    close(fd);
    return false;
  }
  if (rename(young.c_str(), path.c_str()) != 0) return Fail(error, "cannot rename " + young);
  return true;
}

bool FlowStore::Move(int fd, const std::string& path, std::string* error) {
  FlowStore from;
  from.capacity_ = 0;
  Header header;
  if (pread(fd, static_cast<void*>(&header), sizeof(header), 0) != sizeof(header)) {
    return Fail(error, "cannot read " + path);
  }
  from.capacity_ = header.capacity;
  const int again = dup(fd);
  if (again < 0 || !from.Map(again, error)) {
    if (again >= 0) close(again);
    return false;
  }
  from.Validate();
  if (!Make(path, error)) return false;
  for (uint32_t i = 0; i < kPositions; i++) {
    positions_[i].service.store(from.positions_[i].service.load());
    positions_[i].position.store(from.positions_[i].position.load());
  }
  uint32_t next = 0;
  uint32_t end = 0;
  for (uint32_t i = 0; i < from.Used(); i++) {
    if (from.flow(i).state == FlowState::kFree) continue;
    if (next == end) {
      next = TakeChunk();
      if (next == kNone) break;  // what does not fit any more
      end = next + kChunk;
    }
    Write(next++, from.flow(i));
  }
  return true;
}

void FlowStore::Validate() {
  auto* header = reinterpret_cast<Header*>(base_);
  const uint32_t used = header->used.load();
  if (used > capacity_ || used % kChunk != 0) header->used.store(capacity_);
  for (uint32_t i = 0; i < Used(); i++) {
    Flow& flow = flows_[i];
    const bool whole = flow.state < FlowState::kCount && flow.check == flow.Check();
    if (!whole) flow.state = FlowState::kFree;
  }
}

uint32_t FlowStore::Used() const {
  // Whoever else writes to the file cannot lead anybody out of it.
  return std::min(reinterpret_cast<const Header*>(base_)->used.load(std::memory_order_relaxed),
                  capacity_);
}

uint32_t FlowStore::TakeChunk() {
  auto& used = reinterpret_cast<Header*>(base_)->used;
  uint32_t first = used.load(std::memory_order_relaxed);
  do {
    if (first >= capacity_) return kNone;
    // A full tmpfs says so here, and not by a signal when the flow is written.
    const auto at = static_cast<off_t>(kFlowsAt + size_t{first} * sizeof(Flow));
    if (fd_ >= 0 && fallocate(fd_, 0, at, kChunk * sizeof(Flow)) != 0) return kNone;
  } while (!used.compare_exchange_weak(first, first + kChunk, std::memory_order_relaxed));
  return first;
}

void FlowStore::Write(uint32_t index, const Flow& flow) {
  // In words, so that a reader beside sees old or new ones and `check` tells which.
  uint64_t words[sizeof(Flow) / 8];
  Flow made = flow;
  made.state = FlowState::kFree;
  made.check = made.Check();
  memcpy(words, &made, sizeof(Flow));
  auto* at = reinterpret_cast<uint64_t*>(&flows_[index]);
  for (size_t i = 0; i < sizeof(Flow) / 8; i++) Store(&at[i], words[i]);
  std::atomic_ref<FlowState>(flows_[index].state).store(flow.state, std::memory_order_release);
}

bool FlowStore::Read(uint32_t index, Flow* flow) const {
  uint64_t words[sizeof(Flow) / 8];
  auto* at = reinterpret_cast<uint64_t*>(const_cast<Flow*>(&flows_[index]));
  for (size_t i = 0; i < sizeof(Flow) / 8; i++) {
    words[i] = std::atomic_ref<uint64_t>(at[i]).load(std::memory_order_acquire);
  }
  memcpy(static_cast<void*>(flow), words, sizeof(Flow));
  return flow->state != FlowState::kFree && flow->state < FlowState::kCount &&
         flow->check == flow->Check();
}

void FlowStore::SetState(Flow* flow, FlowState state) {
  std::atomic_ref<FlowState>(flow->state).store(state, std::memory_order_release);
}
void FlowStore::SetFlags(Flow* flow, uint8_t flags) { Store(&flow->flags, flags); }
void FlowStore::SetProbes(Flow* flow, uint8_t probes) { Store(&flow->probes, probes); }
void FlowStore::SetUsed(Flow* flow, uint64_t used_ns) { Store(&flow->used_ns, used_ns); }

std::atomic<uint64_t>* FlowStore::Position(uint64_t service) {
  // The table is looked at when a service's row changes, which is seldom.
  KeptPosition* free = nullptr;
  for (uint32_t i = 0; i < kPositions; i++) {
    const uint64_t held = positions_[i].service.load(std::memory_order_relaxed);
    if (held == service) return &positions_[i].position;
    if (held == 0 && free == nullptr) free = &positions_[i];
  }
  if (free == nullptr) return nullptr;
  free->position.store(0, std::memory_order_relaxed);
  free->service.store(service, std::memory_order_release);
  return &free->position;
}

}  // namespace weft
