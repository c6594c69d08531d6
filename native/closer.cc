#include "closer.h"

#include <pthread.h>

#include <csignal>
#include <utility>

namespace weft {

Closer::~Closer() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Closer::Take(std::unique_ptr<Port> port) {
  if (!thread_.joinable()) {
    // Signals are for Node's main thread: a thread inherits the mask that it was made under.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = std::thread([this] { Run(); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    pthread_setname_np(thread_.native_handle(), "weft-closer");
  }
  {
    const std::lock_guard lock(mutex_);
    ports_.push_back(std::move(port));
    pending_++;
  }
  changed_.notify_all();
}

size_t Closer::pending() {
  const std::lock_guard lock(mutex_);
  return pending_;
}

void Closer::Wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return pending_ == 0; });
}

void Closer::Run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return ending_ || !ports_.empty(); });
    if (ports_.empty()) return;
    std::unique_ptr<Port> port = std::move(ports_.front());
    ports_.pop_front();
    lock.unlock();
    port.reset();
    lock.lock();
    pending_--;
    if (pending_ == 0) changed_.notify_all();
  }
}

}  // namespace weft
