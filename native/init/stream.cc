// One client's socket: reading, queueing, frame headers.
#include "stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>

namespace weft {

void Stream::Open(Poller* poller, int fd, uint32_t index) {
  socket_.Open(poller, fd, Wake::kClient, index);
  finished_ = false;
  reading_ = true;
  WaitAgain();
}

void Stream::Close() {
  socket_.Close();
  in_.Free();
  out_.Free();
}

void Stream::WaitAgain() {
  const uint32_t input = reading_ ? uint32_t{EPOLLIN} : uint32_t{EPOLLRDHUP};
  socket_.WaitFor(input | (out_.empty() ? 0 : uint32_t{EPOLLOUT}));
}

bool Stream::Receive() {
  size_t room;
  uint8_t* bytes = in_.Room(&room);
  if (room == 0) return false;
  const ssize_t got = recv(socket_.fd(), bytes, std::min(room, kMaxFrameBytes), 0);
  if (got > 0) in_.Commit(static_cast<size_t>(got));
  return got > 0 || (got < 0 && errno == EAGAIN);
}

void Stream::ReadMore(bool on) {
  reading_ = on;
  WaitAgain();
}

bool Stream::SendLine(const char* line) {
  const iovec parts[] = {{const_cast<char*>(line), strlen(line)}, {const_cast<char*>("\n"), 1}};
  return Send(parts, 2);
}

bool Stream::SendFrame(FrameKind kind, const void* bytes, size_t count) {
  uint8_t header[kFrameHeaderBytes] = {static_cast<uint8_t>(kind)};
  const uint32_t length = htonl(static_cast<uint32_t>(count));
  memcpy(header + 1, &length, sizeof(length));
  const iovec parts[] = {{header, sizeof(header)}, {const_cast<void*>(bytes), count}};
  return Send(parts, 2);
}

bool Stream::Send(const iovec* parts, int count) {
  size_t sent = 0;
  if (out_.empty()) {
    msghdr message = {};
    message.msg_iov = const_cast<iovec*>(parts);
    message.msg_iovlen = static_cast<size_t>(count);
    const ssize_t taken = sendmsg(socket_.fd(), &message, MSG_NOSIGNAL);
    if (taken < 0 && errno != EAGAIN) return false;
    if (taken > 0) sent = static_cast<size_t>(taken);
  }
  for (int i = 0; i < count; ++i) {
    const size_t skipped = std::min(sent, parts[i].iov_len);
    sent -= skipped;
    if (skipped == parts[i].iov_len) continue;
    const auto* bytes = static_cast<const uint8_t*>(parts[i].iov_base);
    if (!out_.Append(bytes + skipped, parts[i].iov_len - skipped)) return false;
  }
  WaitAgain();
  return true;
}

bool Stream::Flush() {
  while (!out_.empty()) {
    const ssize_t taken = send(socket_.fd(), out_.data(), out_.size(), MSG_NOSIGNAL);
    if (taken < 0 && errno != EAGAIN) return false;
    if (taken <= 0) break;
    out_.Consume(static_cast<size_t>(taken));
  }
  if (finished_) ShowEnd();
  WaitAgain();
  return true;
}

void Stream::HandOver() {
  // The kernel doubles the value for its own bookkeeping, and needs that.
  const int bytes = kOutBytes;
  setsockopt(socket_.fd(), SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes));
}

void Stream::Finish() {
  finished_ = true;
  reading_ = true;  // what still comes is thrown away, until the client hangs up
  ShowEnd();
  WaitAgain();
}

void Stream::ShowEnd() {
  if (out_.empty()) shutdown(socket_.fd(), SHUT_WR);
}

}  // namespace weft
