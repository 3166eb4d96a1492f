#include "base/core/check.h"

#include <cstdio>
#include <cstdlib>

namespace credence {

void CheckFailed(std::string_view belief, std::source_location where) {
  std::fprintf(stderr,
               "%s:%u: internal error: expected %.*s\n",
               where.file_name(),
               static_cast<unsigned>(where.line()),
               static_cast<int>(belief.size()),
               belief.data());
  std::abort();
}

}  // namespace credence
