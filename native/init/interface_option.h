// The kernel's settings of one interface, in the namespace that init is in.
#ifndef WEFT_INIT_INTERFACE_OPTION_H_
#define WEFT_INIT_INTERFACE_OPTION_H_

namespace weft {

// Sets net.FAMILY.conf.NAME.OPTION, `family` being ipv4 or ipv6. Best effort: there may be no IPv6,
// or no writable /proc/sys.
void SetInterfaceOption(const char* family, const char* name, const char* option, char value);

}  // namespace weft

#endif  // WEFT_INIT_INTERFACE_OPTION_H_
