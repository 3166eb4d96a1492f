#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "spire/api/types/types.pb.h"

namespace credence {

/// The bundle of this trust domain as it is now.
using BundleSource = std::function<spire::api::types::Bundle()>;

/// A text about the present bundle, written anew only when the bundle's sequence number changes.
class BundleDocument {
 public:
  using Writer = std::function<std::string(const spire::api::types::Bundle&)>;

  BundleDocument(BundleSource source, Writer write)
      : source_(std::move(source)), write_(std::move(write)) {}

  std::shared_ptr<const std::string> Current();

 private:
  BundleSource source_;
  Writer write_;
  std::uint64_t sequence_ = 0;
  std::shared_ptr<const std::string> text_;
};

}  // namespace credence
