// Package layers plans how an image is cut into layers so that an update pulls little, keeps the plan in layers.lock, and
// says what an update costs. It is no part of a build: a build takes the groups that stand in the lock as it takes those
// of the recipe. Everything here is a pure function of its arguments; a plan may be made from many goroutines.
//
// # How a plan is made
//
// The past versions of the image are walked together, as one tree in which every path has a history: from which version
// to which it had which content. A *transition* is the step from one version to the next, and the *signature* of a part
// of the image is the set of transitions at which anything in it changed. What is equal in all versions is never read
// twice, so the work is that of what differs.
//
//  1. Directories are descended where they differ, down to the granularity of a package: one that is small against the
//     image (unitShare) is a unit and is not looked into, or the plan would learn single files by heart that change once
//     here and once there. Names that differ in a version only, of which one is there at a time (`foo-1.2.dist-info`,
//     `foo-1.3.dist-info`), are one unit with a pattern for its name.
//  2. Units of one group of the recipe with the same signature are a *class* as long as they are small; a large one is a
//     class of its own. On the way up, classes of a directory are merged where keeping them apart would save next to
//     nothing, and a directory whose parts mostly change together becomes one unit.
//  3. The price of a plan is what updates like those of the history are expected to pull: for each transition the
//     estimated compressed size of each layer that it touched, and of each other layer its size times the chance of a
//     surprise in it, a recent transition counting more (decay). The chance is learned from how often, in each group of
//     the recipe, units changed that had stood still before: "never changed so far" is not "never will", and of a hundred
//     packages that stand still some move each time. That is why such packages are spread over several layers. Without
//     this term a plan knows its own history by heart (5 percent of what one layer pulls, in the test's history) and is
//     of little use for the updates after it (63 percent); with it, it is 20 and 33.
//  4. While there are more classes than the budget has layers, the two are merged that add least to the price; below it
//     two of one group are merged that add next to nothing. Then single classes are moved between layers as long as that
//     makes it cheaper. Against all partitions of small instances this is within 1.05 of the best.
//  5. The result is written down as patterns, the fewest that say it: what most of a directory belongs to is said once,
//     and only the rest by name. New names of a later version fall to the directory's own layer. In a directory where
//     names came and went before that is the layer, of those in it, that changes most, since something new there should
//     not touch a layer that stands still. The recipe's own patterns stay for what does not exist yet.
//  6. The patterns are measured over the history, as they will be applied. If they should cost more than the recipe's own
//     groups, those are the plan.
//
// Layers are ordered by how often they change, the lowest least often. With less than two different versions there is
// nothing to learn from, and the plan is the recipe's groups, neighbours merged where they are more than the budget.
//
// All sums are of integers, so that a plan is the same on every machine.
package layers
