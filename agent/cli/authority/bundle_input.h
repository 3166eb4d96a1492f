#pragma once

#include <string>
#include <string_view>

#include "base/core/result.h"

#include "spire/api/types/types.pb.h"

namespace CLI {
class App;
}  // namespace CLI

/// Bundles that operators hand in.
namespace credence {

enum class BundleFormat {
  /// X.509 authorities alone.
  kPem,
  /// A SPIFFE bundle document.
  kSpiffe,
};

/// Adds `flag`, such as "--format".
void AddBundleFormat(CLI::App& command, const std::string& flag, BundleFormat& format);

/// The bundle of trust domain `name` that `text` holds. Errors: kInvalidArgument.
Result<spire::api::types::Bundle> ParseBundleText(std::string_view text,
                                                  BundleFormat format,
                                                  const std::string& name);
/// The one in a file, "-" for standard input. Errors: those of the file, all with its path.
Result<spire::api::types::Bundle> ReadBundleFile(const std::string& path,
                                                 BundleFormat format,
                                                 const std::string& name);

}  // namespace credence
