"""Architectures of timm: grouped, split, shuffled, gated, windowed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from ..entry import CLASSES, Entry, Size
from ..torchvision_operators import install


def created(name: str, sized: bool, **options: Any) -> Callable[[Size], nn.Module]:
    """Return what builds one of timm's networks."""

    def create(size: Size) -> nn.Module:
        install()
        import timm

        known = {"img_size": size} if sized else {}
        return timm.create_model(name, pretrained=False, num_classes=CLASSES, **known, **options)

    return create


def network(
    family: str,
    name: str,
    small: int = 64,
    *,
    size: int = 224,
    sized: bool = False,
    representative: bool = False,
    exception: str = "",
    **options: Any,
) -> Entry:
    return Entry(
        name=f"timm/{name}",
        family=family,
        create=created(name, sized, **options),
        size=size,
        small=small,
        representative=representative,
        exception=exception,
    )


def sized(family: str, name: str, small: int, **options: Any) -> Entry:
    """Return an entry of a network that must know the size of its images when it is built."""
    return network(family, name, small, sized=True, **options)


TIMM = (
    network("Res2Net", "res2net50_26w_4s"),
    network("Res2NeXt", "res2next50"),
    network("CSPNet", "cspresnext50"),
    network("CSPNet", "cs3darknet_focus_s", representative=True),
    network("ResNeSt", "resnest14d"),
    network("SKNet", "skresnet18", representative=True),
    network("SKNet", "skresnext50_32x4d"),
    network("ECA-ResNet", "ecaresnet26t"),
    network("SE-ResNeXt", "legacy_seresnext26_32x4d"),
    network("HRNet", "hrnet_w18_small"),
    network("DLA", "dla34"),
    network("DLA", "dla60_res2net"),
    network("DPN", "dpn68b"),
    network("GhostNet", "ghostnet_100"),
    network("GhostNet", "ghostnetv2_100"),
    network("MixNet", "mixnet_s"),
    network("TinyNet", "tinynet_e", 96),
    network("EfficientNet-Lite", "efficientnet_lite0"),
    network("MobileNet v4", "mobilenetv4_conv_small"),
    network("MobileNet v4", "mobilenetv4_hybrid_medium", 128),
    network("MobileViT", "mobilevit_xxs"),
    network("MobileViT", "mobilevitv2_050"),
    network("MobileOne", "mobileone_s0"),
    network("RepVGG", "repvgg_a0"),
    network("RepViT", "repvit_m0_9"),
    network("RegNetZ", "regnetz_b16"),
    network("ReXNet", "rexnet_100"),
    network("NFNet", "nfnet_l0"),
    network("NF-RegNet", "nf_regnet_b0"),
    network("ConvNeXt", "convnext_atto", representative=True),
    network("ConvNeXt v2", "convnextv2_atto"),
    network("Inception v4", "inception_v4", 128),
    network("InceptionNeXt", "inception_next_atto"),
    network("Xception", "xception41", 96),
    network("VoVNet", "ese_vovnet19b_slim_dw"),
    network("VoVNet", "vovnet39a"),
    network("HardCoRe-NAS", "hardcorenas_a"),
    network("SelecSLS", "selecsls42"),
    network("LCNet", "lcnet_050"),
    network("HGNet", "hgnetv2_b0"),
    network("FasterNet", "fasternet_t0"),
    network("StarNet", "starnet_s050"),
    network("TResNet", "tresnet_m"),
    network("RDNet", "rdnet_tiny"),
    network("EdgeNeXt", "edgenext_xx_small"),
    network("EfficientFormer", "efficientformer_l1", 224),
    network("EfficientViT", "efficientvit_b0"),
    network("EfficientViT", "efficientvit_m0", 224),
    network("FastViT", "fastvit_t8"),
    network("PoolFormer", "poolformer_s12"),
    network("CAFormer", "caformer_s18"),
    network("MambaOut", "mambaout_femto"),
    network("PVT v2", "pvt_v2_b0"),
    network("FocalNet", "focalnet_tiny_srf"),
    network("DaViT", "davit_tiny", 224),
    sized("ViT", "vit_tiny_patch16_224", 64, representative=True),
    sized("ViT, relative positions", "vit_relpos_small_patch16_224", 64, depth=6),
    sized("DeiT", "deit_tiny_distilled_patch16_224", 64),
    sized("BEiT", "beit_base_patch16_224", 64, depth=4),
    sized("EVA-02", "eva02_tiny_patch14_224", 56),
    sized("Swin v1", "swin_tiny_patch4_window7_224", 224),
    sized("Swin v2", "swinv2_cr_tiny_ns_224", 224),
    sized("GC ViT", "gcvit_xxtiny", 224),
    sized("Twins", "twins_svt_small", 224),
    sized("Twins", "twins_pcpvt_small", 64),
    network("CrossViT", "crossvit_9_240", 240, size=240),
    sized("ConViT", "convit_tiny", 64),
    network("PiT", "pit_ti_224", 224),
    sized("TNT", "tnt_s_patch16_224", 64, depth=6),
    network("XCiT", "xcit_nano_12_p16_224"),
    sized("CaiT", "cait_xxs24_224", 64, depth=8),
    sized("VOLO", "volo_d1_224", 64),
    sized("CoAtNet", "coatnet_nano_rw_224", 64),
    sized("MaxViT", "maxvit_pico_rw_256", 64, size=256),
    sized("MLP-Mixer", "mixer_s32_224", 96),
    sized("gMLP", "gmlp_ti16_224", 64),
    sized("ResMLP", "resmlp_12_224", 64),
    network("LeViT", "levit_128s", 224),
    network("Visformer", "visformer_tiny", 224),
    sized("NesT", "nest_tiny", 64),
    network("TinyViT", "tiny_vit_5m_224", 224),
    network(
        "Sequencer",
        "sequencer2d_s",
        224,
        exception="Most of its weights belong to LSTMs, and recurrent layers are kept whole on purpose.",
    ),
    network("BoTNet", "sebotnet33ts_256", 256, size=256),
)
