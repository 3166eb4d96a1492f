#include "base/core/program_pages.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include <link.h>

namespace credence {
namespace {

/// Whether the loader wrote into what is mapped for reading; it would be lost with the page.
bool HasRelocatedText(const dl_phdr_info& object, const ElfW(Phdr) & segment) {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): the loader says where it is as a number
  const auto* entry = reinterpret_cast<const ElfW(Dyn)*>(object.dlpi_addr + segment.p_vaddr);
  for (; entry->d_tag != DT_NULL; ++entry) {
    if (entry->d_tag == DT_TEXTREL ||
        (entry->d_tag == DT_FLAGS && (entry->d_un.d_val & DF_TEXTREL) != 0)) {
      return true;
    }
  }
  return false;
}

int ReleaseObject(dl_phdr_info* object, std::size_t /*size*/, void* /*unused*/) {
  const std::span segments(object->dlpi_phdr, object->dlpi_phnum);
  for (const auto& segment : segments) {
    if (segment.p_type == PT_DYNAMIC && HasRelocatedText(*object, segment)) {
      return 0;
    }
  }
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  for (const auto& segment : segments) {
    // What was writable once has been written to, also where it is read-only now.
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) {
      continue;
    }
    const std::uintptr_t begin = (object->dlpi_addr + segment.p_vaddr) / page * page;
    const std::uintptr_t end = object->dlpi_addr + segment.p_vaddr + segment.p_memsz;
    // It may be refused, as for locked memory; then the pages stay.
    // NOLINTNEXTLINE(performance-no-int-to-ptr): as above
    (void)madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
  }
  return 0;
}

}  // namespace

void ReleaseProgramPages() {
  dl_iterate_phdr(ReleaseObject, nullptr);
}

}  // namespace credence
