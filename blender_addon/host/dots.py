"""The shader that draws round dots with a rim, for the 3D View and the Movie Clip Editor."""

from typing import Any

import gpu
from gpu_extras.batch import batch_for_shader
from mathutils import Matrix
from numpy.typing import NDArray

_VERTEX = """
void main()
{
  vec4 place = viewProjection * vec4(position, 1.0);
  place.z -= lift * place.w;
  gl_Position = place;
  gl_PointSize = size * (outline.a > 0.5 ? 1.35 : 1.0);
  dotColor = color;
  dotOutline = outline;
}
"""
_FRAGMENT = """
void main()
{
  float r = length(gl_PointCoord - vec2(0.5)) * 2.0;
  float edge = fwidth(r);
  float inside = 1.0 - smoothstep(1.0 - edge, 1.0, r);
  float core = 1.0 - smoothstep(0.66 - edge, 0.66, r);
  vec3 rim = mix(vec3(0.02), dotOutline.rgb, dotOutline.a);
  fragColor = vec4(mix(rim, dotColor.rgb, core), inside * alpha * dotColor.a);
}
"""
_shader: Any = None


def _dot_shader() -> Any:
    global _shader
    if _shader is None:
        interface = gpu.types.GPUStageInterfaceInfo("facequery_dots")  # type: ignore[call-arg]
        interface.smooth("VEC4", "dotColor")
        interface.smooth("VEC4", "dotOutline")
        info = gpu.types.GPUShaderCreateInfo()
        info.push_constant("MAT4", "viewProjection")
        info.push_constant("FLOAT", "size")
        info.push_constant("FLOAT", "alpha")
        info.push_constant("FLOAT", "lift")
        info.vertex_in(0, "VEC3", "position")
        info.vertex_in(1, "VEC4", "color")
        info.vertex_in(2, "VEC4", "outline")
        info.vertex_out(interface)
        info.fragment_out(0, "VEC4", "fragColor")
        info.vertex_source(_VERTEX)
        info.fragment_source(_FRAGMENT)
        _shader = gpu.shader.create_from_info(info)
    return _shader


def make_batch(position: NDArray, color: NDArray, outline: NDArray) -> Any:
    """A batch of N dots: position (N, 3), color (N, 4), and outline (N, 4) with alpha 1 where it is to be seen."""
    content: Any = {"position": position, "color": color, "outline": outline}
    return batch_for_shader(_dot_shader(), "POINTS", content)


def draw(
    batch: Any, view_projection: Matrix, size: float, passes: tuple[tuple[str, float], ...], lift: float = 0
) -> None:
    """Draw a batch once per pass, a depth test and an alpha. `size` is the dots' diameter in pixels, `lift` brings
    them nearer to the viewer, in clip space per distance."""
    shader = _dot_shader()
    gpu.state.program_point_size_set(True)
    gpu.state.blend_set("ALPHA")
    shader.bind()
    shader.uniform_float("viewProjection", view_projection)
    shader.uniform_float("size", size)
    shader.uniform_float("lift", lift)
    for test, alpha in passes:
        gpu.state.depth_test_set(test)
        shader.uniform_float("alpha", alpha)
        batch.draw(shader)
    gpu.state.depth_test_set("NONE")
    gpu.state.blend_set("NONE")
    gpu.state.program_point_size_set(False)
