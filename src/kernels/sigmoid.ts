// @ts-ignore: decorator
@inline
function one(x: f32): f32 { const e = Math.exp(-Math.abs(<f64>x)); return <f32>((x < 0 ? e : 1) / (1 + e)); }
// @ts-ignore: decorator
@inline
export function sigmoidF32x4(v: v128): v128 {
  return f32x4(one(f32x4.extract_lane(v,0)),one(f32x4.extract_lane(v,1)),one(f32x4.extract_lane(v,2)),one(f32x4.extract_lane(v,3)));
}
