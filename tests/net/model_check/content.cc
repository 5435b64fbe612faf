#include "tests/net/model_check/content.h"

#include <algorithm>

namespace eddl::net::model_check {

bool Parameters::BeginsWith(const Parameters& earlier) const {
  return earlier.updates.size() <= updates.size() &&
         std::equal(earlier.updates.begin(), earlier.updates.end(), updates.begin());
}

bool Parameters::Contains(MicroBatch mb) const {
  return std::any_of(updates.begin(), updates.end(), [mb](const Update& update) {
    return std::binary_search(update.micro_batches.begin(), update.micro_batches.end(), mb);
  });
}

std::string Parameters::ToString() const {
  std::string text;
  for (const Update& update : updates) text += model_check::ToString(update.micro_batches);
  return text.empty() ? "{}" : text;
}

void GradientSum::Add(const GradientSum& other) {
  micro_batches.insert(micro_batches.end(), other.micro_batches.begin(), other.micro_batches.end());
  std::sort(micro_batches.begin(), micro_batches.end());
  bases.insert(bases.end(), other.bases.begin(), other.bases.end());
  std::sort(bases.begin(), bases.end());
  bases.erase(std::unique(bases.begin(), bases.end()), bases.end());
  samples += other.samples;
}

std::string ToString(const std::vector<MicroBatch>& micro_batches) {
  std::string text = "{";
  for (const MicroBatch mb : micro_batches) text += (text.size() > 1 ? " " : "") + std::to_string(ToInt(mb));
  return text + '}';
}

std::vector<Stripe> ListStripes(const std::vector<StripeRange>& ranges) {
  std::vector<Stripe> stripes;
  for (const StripeRange& range : ranges) {
    for (Stripe stripe = range.begin; stripe < range.end; stripe = Stripe{ToInt(stripe) + 1}) stripes.push_back(stripe);
  }
  return stripes;
}

}  // namespace eddl::net::model_check
