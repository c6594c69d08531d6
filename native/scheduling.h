// How a thread is scheduled whose frames wait in a short queue.

#ifndef WEFT_SCHEDULING_H_
#define WEFT_SCHEDULING_H_

namespace weft {

// Has the calling thread run as soon as it has something to do, before ordinary work, and for short
// stretches. It stays an ordinary thread: one that never sleeps takes more than its share, and
// leaves the others theirs. Best effort: what the kernel does not know or allow stays as it is.
void PreferThisThread();

bool MayUseCpu(int cpu);
// Has the calling thread run nowhere else.
void KeepThisThreadOn(int cpu);

}  // namespace weft

#endif  // WEFT_SCHEDULING_H_
