#include "agent/cli/environment.h"

#include <stdlib.h>

namespace credence {

std::string EnvironmentVariable(const char* name) {
  const char* value = getenv(name);  // NOLINT(concurrency-mt-unsafe): nothing here sets variables.
  return value == nullptr ? "" : value;
}

}  // namespace credence
