#include "agent/authority/web/bundle_document.h"

namespace credence {

std::shared_ptr<const std::string> BundleDocument::Current() {
  const spire::api::types::Bundle bundle = source_();
  if (text_ == nullptr || sequence_ != bundle.sequence_number()) {
    text_ = std::make_shared<const std::string>(write_(bundle));
    sequence_ = bundle.sequence_number();
  }
  return text_;
}

}  // namespace credence
