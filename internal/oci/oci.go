// Package oci turns trees into OCI images and images into trees.
//
// An image is a tree as well: an image layout (the directory format of the OCI image specification) whose blobs are blobs
// of the store, under the same SHA-256. Making one is a matter of steps: cutting the files into groups, a layer from each
// group, and the layout from the layers, so that a layer whose files did not change is never made again.
package oci
