package main

const nrKeyctl, nrBpf, nrPerf, nrUserfaultfd, nrIoUring = 250, 321, 298, 323, 425
