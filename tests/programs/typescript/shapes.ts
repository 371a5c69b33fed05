interface Shape {
  readonly name: string;
  area(): number;
}

class Circle implements Shape {
  readonly name = 'circle';
  private radius: number;
  constructor(radius: number) {
    this.radius = radius;
  }
  area(): number {
    return Math.PI * this.radius ** 2;
  }
}

class Rectangle implements Shape {
  readonly name = 'rectangle';
  private width: number;
  private height: number;
  constructor(width: number, height: number) {
    this.width = width;
    this.height = height;
  }
  area(): number {
    return this.width * this.height;
  }
}

const shapes: Shape[] = [new Circle(1), new Rectangle(2, 3)];
for (const shape of shapes) {
  console.log(`${shape.name}: ${shape.area().toFixed(2)}`);
}
