/** PyPI files that the native engine is built from, pinned by hash. */

export interface Wheel {
  project: string;
  version: string;
  /** Platform tags of the file, joined by dots as in its name. */
  platform: string;
  python: 'cp311-cp311' | 'py3-none';
  sha256: string;
  bytes: number;
  /** Bytes of the files that are taken out of it. */
  unpackedBytes: number;
}

export const TENSORFLOW_VERSION = '2.21.0';

export const CPU_X64: Wheel = {
  project: 'tensorflow-cpu',
  version: TENSORFLOW_VERSION,
  python: 'cp311-cp311',
  platform: 'manylinux_2_27_x86_64',
  sha256: '2b847d217b02ee7731ed91431daf3250daa0196c3c94614d23be27232e6e5b6c',
  bytes: 273_829_956,
  unpackedBytes: 854_258_761,
};

/** On arm64 the package called `tensorflow` is the CPU build. */
export const CPU_ARM64: Wheel = {
  project: 'tensorflow',
  version: TENSORFLOW_VERSION,
  python: 'cp311-cp311',
  platform: 'manylinux_2_27_aarch64',
  sha256: '4b24aca16d527a3cf1c37f720c04c484c3d20f4d0fdfa98632ac8b9f3be6eb5c',
  bytes: 281_828_020,
  unpackedBytes: 884_012_033,
};

export const CUDA_X64: Wheel = {
  project: 'tensorflow',
  version: TENSORFLOW_VERSION,
  python: 'cp311-cp311',
  platform: 'manylinux_2_27_x86_64',
  sha256: '9056fbc9ba04235810b71ae6cbd958a196e8804fb53bbcffbf3e23b56155f124',
  bytes: 572_440_367,
  unpackedBytes: 1_259_970_905,
};

/** What the `and-cuda` extra of that TensorFlow names, at the newest versions it accepted when it was pinned. */
export const NVIDIA_LIBRARIES: readonly Wheel[] = [
  {
    project: 'nvidia-cublas-cu12',
    version: '12.9.3.13',
    python: 'py3-none',
    platform: 'manylinux_2_27_x86_64',
    sha256: 'd7d51055f161b317c7105ddaae90e71eda059026074ffef93cf7cde2886bfe72',
    bytes: 581_217_458,
    unpackedBytes: 855_064_416,
  },
  {
    project: 'nvidia-cuda-cupti-cu12',
    version: '12.9.79',
    python: 'py3-none',
    platform: 'manylinux_2_25_x86_64',
    sha256: '096bcf334f13e1984ba36685ad4c1d6347db214de03dbb6eebb237b41d9d934f',
    bytes: 10_814_997,
    unpackedBytes: 43_365_768,
  },
  {
    project: 'nvidia-cuda-nvcc-cu12',
    version: '12.9.86',
    python: 'py3-none',
    platform: 'manylinux2010_x86_64.manylinux_2_12_x86_64',
    sha256: '5d6a0d32fdc7ea39917c20065614ae93add6f577d840233237ff08e9a38f58f0',
    bytes: 40_546_229,
    unpackedBytes: 97_998_760,
  },
  {
    project: 'nvidia-cuda-nvrtc-cu12',
    version: '12.9.86',
    python: 'py3-none',
    platform: 'manylinux2010_x86_64.manylinux_2_12_x86_64',
    sha256: '210cf05005a447e29214e9ce50851e83fc5f4358df8b453155d5e1918094dcb4',
    bytes: 89_568_129,
    unpackedBytes: 227_340_992,
  },
  {
    project: 'nvidia-cuda-runtime-cu12',
    version: '12.9.79',
    python: 'py3-none',
    platform: 'manylinux2014_x86_64.manylinux_2_17_x86_64',
    sha256: '25bba2dfb01d48a9b59ca474a1ac43c6ebf7011f1b0b8cc44f54eb6ac48a96c3',
    bytes: 3_493_179,
    unpackedBytes: 5_342_176,
  },
  {
    project: 'nvidia-cudnn-cu12',
    version: '9.28.0.42',
    python: 'py3-none',
    platform: 'manylinux_2_27_x86_64',
    sha256: '9ff58b7f36dacd0a93e89f8f2957b52466889217963701daa15e577317cfa375',
    bytes: 716_538_495,
    unpackedBytes: 1_162_393_472,
  },
  {
    project: 'nvidia-cufft-cu12',
    version: '11.4.1.4',
    python: 'py3-none',
    platform: 'manylinux2014_x86_64.manylinux_2_17_x86_64',
    sha256: 'c67884f2a7d276b4b80eb56a79322a95df592ae5e765cf1243693365ccab4e28',
    bytes: 200_877_592,
    unpackedBytes: 293_609_416,
  },
  {
    project: 'nvidia-curand-cu12',
    version: '10.3.10.19',
    python: 'py3-none',
    platform: 'manylinux_2_27_x86_64',
    sha256: '49b274db4780d421bd2ccd362e1415c13887c53c214f0d4b761752b8f9f6aa1e',
    bytes: 68_295_626,
    unpackedBytes: 166_965_432,
  },
  {
    project: 'nvidia-cusolver-cu12',
    version: '11.7.5.82',
    python: 'py3-none',
    platform: 'manylinux_2_27_x86_64',
    sha256: '15da72d1340d29b5b3cf3fd100e3cd53421dde36002eda6ed93811af63c40d88',
    bytes: 338_117_415,
    unpackedBytes: 494_975_064,
  },
  {
    project: 'nvidia-cusparse-cu12',
    version: '12.5.10.65',
    python: 'py3-none',
    platform: 'manylinux2014_x86_64.manylinux_2_17_x86_64',
    sha256: '73060ce019ac064a057267c585bf1fd5a353734151f87472ff02b2c5c9984e78',
    bytes: 366_465_088,
    unpackedBytes: 486_556_368,
  },
  {
    project: 'nvidia-nccl-cu12',
    version: '2.32.3',
    python: 'py3-none',
    platform: 'manylinux_2_27_x86_64',
    sha256: 'bb94b2348e4861d5e8aa00b36c3d12d9bdf9c6369b82cbb723de0b582280a21c',
    bytes: 351_526_311,
    unpackedBytes: 489_653_380,
  },
  {
    project: 'nvidia-nvjitlink-cu12',
    version: '12.9.86',
    python: 'py3-none',
    platform: 'manylinux2010_x86_64.manylinux_2_12_x86_64',
    sha256: 'e3f1171dbdc83c5932a45f0f4c99180a70de9bd2718c1ab77d14104f6d7147f9',
    bytes: 39_748_338,
    unpackedBytes: 95_935_344,
  },
];
