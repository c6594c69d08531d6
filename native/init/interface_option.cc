#include "interface_option.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

namespace weft {

void SetInterfaceOption(const char* family, const char* name, const char* option, char value) {
  char path[96];
  snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", family, name, option);
  const int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  if (write(fd, &value, 1) != 1) errno = 0;
  close(fd);
}

}  // namespace weft
