import ij.IJ;
import ij.ImagePlus;
import ij.process.ImageProcessor;
import java.io.DataOutputStream;
import java.io.FileOutputStream;

/** Opens a TIFF with ImageJ and writes its shape and every pixel, as ImageJ sees them. */
public class ReadStack {
    public static void main(String[] arguments) throws Exception {
        ImagePlus image = IJ.openImage(arguments[0]);
        try (DataOutputStream out = new DataOutputStream(new FileOutputStream(arguments[1]))) {
            out.writeInt(image.getStackSize());
            out.writeInt(image.getHeight());
            out.writeInt(image.getWidth());
            out.writeInt(image.getBitDepth());
            out.writeDouble(image.getDisplayRangeMin());
            out.writeDouble(image.getDisplayRangeMax());
            byte[] row = new byte[4 * image.getWidth()];
            for (int z = 1; z <= image.getStackSize(); z++) {
                ImageProcessor slice = image.getStack().getProcessor(z);
                for (int y = 0; y < image.getHeight(); y++) {
                    java.nio.ByteBuffer bytes = java.nio.ByteBuffer.wrap(row);
                    for (int x = 0; x < image.getWidth(); x++) bytes.putFloat(slice.getf(x, y));
                    out.write(row);
                }
            }
        }
    }
}
